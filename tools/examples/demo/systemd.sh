#!/usr/bin/env bash
# uarena as a service, shown step by step: boots the distribution's systemd in namespaces (tools/machine)
# with uarena installed in it, and goes through service.sh there. Then it looks whether anything is
# left. The exit status is 0 only if all of it held; 1 with one line where no machine can be booted.
#
#   usage: tools/examples/demo/systemd.sh BUILD_DIRECTORY      in which the target uarena_stage is built
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
build=${1:?usage: systemd.sh BUILD_DIRECTORY}
build=$(cd "$build" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/uarena-demo.XXXXXX")
. "$here/steps.sh"

# The machine ends when its input does, and its output ends when all of it is removed: descriptors 8
# and 9 here, which nothing that runs in it may have. It is in a session of its own: a signal to all
# processes of this demo leaves it to clean up.
machine=
end_machine() {
  [[ -n $machine ]] || return 0
  exec 8>&-
  cat <&9 >/dev/null
}
cleanup() {
  end_machine
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

boot() {
  mkfifo "$work/in" "$work/out"
  setsid "$here/../../machine/machine.sh" "$build" "$build/stage" <"$work/in" >"$work/out" 2>"$work/machine.err" &
  exec 8>"$work/in" 9<"$work/out"
  local line=
  IFS= read -r -t 60 line <&9 || true
  case $line in
    'up '*) machine=${line#up } ;;
    'cannot '*) printf 'demo: no machine can be booted here: %s\n' "${line#cannot }" >&2; exit 1 ;;
    *) printf 'demo: the machine did not come up: %s\n' "$(<"$work/machine.err")" >&2; exit 1 ;;
  esac
}

# in_machine COMMAND…: as its root, with the programs that are installed in it and the demo's clients.
in_machine() {
  nsenter --target "$machine" --mount --uts --ipc --net --pid --cgroup -- /usr/bin/env -i \
    PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/run/machine/build/bin LANG=C.UTF-8 "$@" 8>&- 9<&-
}

began=${EPOCHREALTIME/[.,]/}
boot
# The path of its cgroup; and whether that is there, wherever cgroup2 is mounted.
cgroup=$(grep -o 'uarena-machine\.[0-9]*' "/proc/$machine/cgroup" | head -n 1)
cgroups_left() { find /sys/fs/cgroup -maxdepth 2 -name "$cgroup" 2>/dev/null | wc -l; }
title "A machine with a systemd of its own, booted in $(((${EPOCHREALTIME/[.,]/} - began) / 1000)) ms, uarena installed by cmake"
check "its cgroup is seen out here" "$(cgroups_left)" 1

in_machine "$BASH" -c "$(cat "$here/steps.sh" "$here/service.sh")" service.sh &
wait $! || failures=$((failures + 1))  # a signal that comes meanwhile is obeyed at once

title "And at the end"
end_machine
# A dead one may wait a moment for whoever adopted it to take note.
check "processes of the machine that are left" "$({ grep -s '^State:' "/proc/$machine/status" || true; } | grep -cv Z || true)" 0
check "cgroups" "$(cgroups_left)" 0
check "mounts" "$(grep -c "$build/machine" /proc/self/mountinfo || true)" 0
check "files" "$(find "$build/machine" -mindepth 1 2>/dev/null | wc -l)" 0
check "the machine's own complaints" "$(<"$work/machine.err")" ""
verdict
