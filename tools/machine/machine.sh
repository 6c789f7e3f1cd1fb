#!/usr/bin/env bash
# A machine for one test or one demo: boots the distribution's systemd as PID 1 in namespaces of its
# own, on an overlay of this system's root into which uarena is installed, and ends it when standard
# input ends. So it goes when whoever wanted it goes, however that came about. Needs root and nothing of
# the host's systemd.
#
#   machine.sh BUILD STAGE       BUILD: the build directory; STAGE: what `cmake --install` made with
#                                DESTDIR, with the prefix /usr/local
#
# Says on standard output, once, `up PID` (of its PID 1, as seen here) or `cannot WHY` (the means are
# not there; status 77). What went wrong otherwise goes to standard error, status 1.
#
# Nothing of it is seen outside but processes and a cgroup: all its files are on a tmpfs of its own
# mount namespace. Should this script be killed by SIGKILL, then the machine ends with it, and the next
# one to start removes the cgroup.
set -uo pipefail
readonly build=$1 stage=$2
here=$(dirname "$(readlink -f "$0")")

cannot() { printf 'cannot %s\n' "$*"; exit 77; }

((EUID == 0)) || cannot "not root"
[[ -x /lib/systemd/systemd ]] || cannot "no /lib/systemd/systemd"
if [[ -z ${UARENA_MACHINE_INSIDE-} ]]; then
  unshare --mount --pid --fork --uts --ipc --net --cgroup true 2>/dev/null || cannot "namespaces are refused"
  UARENA_MACHINE_INSIDE=1 exec unshare --mount --propagation private -- "$BASH" "$0" "$@"
fi

# ---- its end ------------------------------------------------------------------------------------
init=
cgroup=
remove_cgroup() {  # of processes that may need a moment to go
  local try
  [[ -w $1/cgroup.kill ]] && echo 1 >"$1/cgroup.kill"
  for ((try = 0; try < 500; try++)); do
    find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
    [[ -d $1 ]] || return 0
    read -r -t 0.01 <> <(:)
  done
  echo "machine.sh: $1 can't be removed" >&2
}
end() {
  [[ -z $init ]] || { kill -KILL "$init"; wait "$init"; } 2>/dev/null
  [[ -z $cgroup ]] || remove_cgroup "$cgroup"
}
trap end EXIT
trap 'exit 1' TERM INT HUP PIPE

# ---- its beginning ------------------------------------------------------------------------------
work=$build/machine
mkdir -p "$work"
mount -t tmpfs -o mode=755,size=512m machine "$work" 2>/dev/null || cannot "mounting a tmpfs is refused"
mkdir "$work"/{cgroup,upper,scratch,root,share}
mount -t cgroup2 cgroup2 "$work/cgroup" 2>/dev/null || cannot "mounting cgroup2 is refused"
mount -t overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/scratch" overlay "$work/root" 2>/dev/null ||
  cannot "mounting an overlay of / is refused"
mknod "$work/null" c 1 3 2>/dev/null || cannot "making device nodes is refused"
for old in "$work"/cgroup/uarena-machine.*; do
  [[ ! -d $old || -d /proc/${old##*.} ]] || remove_cgroup "$old"
done
cgroup=$work/cgroup/uarena-machine.$$
mkdir "$cgroup" 2>/dev/null || { cgroup=; cannot "making a cgroup is refused"; }

mkfifo -m 666 "$work"/share/{up,log}
exec {up}<>"$work/share/up" {log}<>"$work/share/log"  # who opens it to write waits for nobody
# Dies with this script, and all in it with it; says so, should it be done before.
setpriv --pdeathsig KILL "$BASH" -c '
  echo $$ >"$1/cgroup.procs"
  setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child=KILL \
    --uts --ipc --net --cgroup -- "$BASH" "${@:2}"
  echo down >"$5/share/up"' machine "$cgroup" "$here/machine_root.sh" "$build" "$stage" "$work" \
  >"$work/console" 2>&1 {up}<&- {log}<&- &
init=$!
read -r -t 30 -u "$up"
[[ ${REPLY-} == up ]] || { echo "machine.sh: systemd did not come up:" >&2; tail -n 40 "$work/console" >&2; exit 1; }
printf 'up %s\n' "$(<"$work/share/pid")"
cat >/dev/null
