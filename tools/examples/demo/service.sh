# The steps of systemd.sh, inside the machine, after steps.sh. All paths are those of an installation.
set -euo pipefail

work=$(mktemp -d)
readonly bpf=/run/machine/build/bpf

cat /run/machine/log >"$work/log" &  # what the services say; there is no journal
children+=($!)
cleanup() {
  local status=$?
  ((status == 0)) || tail -n 30 "$work/log" >&2
  kill "${children[@]}" 2>/dev/null || true
}
trap cleanup EXIT

# as USER COMMAND…: with the rights and the groups of that user.
as() {
  local user=$1
  shift
  exec setpriv --reuid "$user" --regid "$user" --init-groups --reset-env env PATH="$PATH" "$@"
}
by() { (as "$@"); }
unit() { systemctl show --property "$2" --value "$1"; }
now() { printf '%s' "${EPOCHREALTIME/[.,]/}"; }  # in microseconds
ms_since() { printf '%d.%d ms' $((($(now) - $1) / 1000)) $((($(now) - $1) / 100 % 10)); }
# until COMMAND…: waits for it to hold, 10 s at most.
wait_until() {
  local end=$(($(now) + 10000000))
  until "$@"; do
    (($(now) < end)) || { note "waited in vain: $*"; return 1; }
    read -r -t 0.002 <> <(:) || true
  done
}

# ---- who is here ------------------------------------------------------------------------------
ldconfig
for user in alice bob; do useradd --no-create-home --groups uarena "$user"; done
useradd --no-create-home carol
note "systemd $(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p'); alice and bob are in the group uarena, carol is not"

title "1. The first connection starts the broker"
systemctl enable --quiet --now uarenad.socket
check "uarenad.socket" "$(unit uarenad.socket ActiveState)" active
status=0
by carol uarena daemon status >/dev/null 2>&1 || status=$?
check "carol is refused, with status" "$status" 4
check "uarenad.service" "$(unit uarenad.service ActiveState)" inactive
began=$(now)
by alice uarena daemon status >"$work/status"
note "alice is answered after $(ms_since "$began"), the broker's start included"
check "uarenad.service" "$(unit uarenad.service ActiveState)" active
broker=$(unit uarenad.service MainPID)
check "its capabilities are CAP_KILL alone" "$(sed -n 's/^CapEff:\t//p' "/proc/$broker/status")" 0000000000000020

title "2. An arena, a program, and clients of two users"
created=$(by alice uarena -j arena create heap --pages 1048576)
base=$(json user_vm_start <<<"$created")
by alice uarena prog load $bpf/demo.bpf.o --arena heap >/dev/null
by alice uarena arena create work --pages 64 >/dev/null
by alice uarena prog load $bpf/service.bpf.o --arena work >/dev/null
nodes=1000 keys=500
run build "$(le 4 $nodes)$(le 4 $keys)$(le 8 0)"
check "the program build returned" "$retval" 0
start alice as alice toucher heap --hold
start bob as bob toucher heap --hold
hear alice; check "alice attaches the arena at" "$(field base <<<"$heard")" "$base"
hear bob; check "bob attaches it at" "$(field base <<<"$heard")" "$base"
bob=$(field pid <<<"$heard")
ask alice "write 500000 4711"
ask bob "read 500000"
check "what alice writes bob reads" "$(field value <<<"$heard")" 4711
walked=$(by bob walker heap)
check "bob walks the program's list, of length" "$(field list_len <<<"$walked")" $nodes
for i in 1 2 3; do run count "$(le 8 0)"; done
check "another program counts its calls in a global variable" "$(at "$ctx" 0 8)" 3

title "3. The broker is killed (SIGKILL) while bob waits in a page fault for it"
page=700000
# Everything but bob's page: which pages there are and by whom, and every byte of them.
all_pages() { by alice uarena page list heap | grep -v "$(printf '%x' $((base + page * 4096)))"; }
one_line() { sha256sum | cut -c1-16; }
all_bytes() { by alice uarena page dump heap --range 0:$((page * 4096)) | one_line; }
pages=$(all_pages) bytes=$(all_bytes)
sum_ctx=$(le 40 0)
run sum "$sum_ctx"; summed=$ctx
allocated=$(by alice uarena -j arena show heap | json pages_allocated)
note "before: $allocated pages, sha256 of the arena $bytes…"

stopped() {
  local states
  states=$(sed -n 's/^State:\t//p' "/proc/$broker/task/"*/status | sort -u)
  [[ $states == 'T (stopped)' ]]
}
in_fault() { [[ $(<"/proc/$bob/wchan") == handle_userfault ]]; }  # where the kernel has it wait
kill -STOP "$broker"
wait_until stopped
tell bob "write $page 42"
wait_until in_fault
note "the broker (pid $broker) is stopped, and bob (pid $bob) sleeps in his touch of page $page"
began=$(now)
kill -KILL "$broker"
hear bob
took=$(ms_since "$began")
check "bob's touch" "$(field value <<<"$heard")" 42
note "answered $took after the kill, by pid $(unit uarenad.service MainPID); bob noticed nothing else"
check "the broker is another" "$([[ $(unit uarenad.service MainPID) != "$broker" ]] && echo yes)" yes
check "restarts" "$(unit uarenad.service NRestarts)" 1

title "4. And all is as it was"
check "pages" "$(by alice uarena -j arena show heap | json pages_allocated)" $((allocated + 1))
check "where they are and who put them there, but for bob's" "$(all_pages | one_line)" "$(one_line <<<"$pages")"
check "sha256 of the arena" "$(all_bytes)" "$bytes"
ask alice "read 500000"; check "alice reads on" "$(field value <<<"$heard")" 4711
ask alice "read 800000"; check "and touches a new page" "$(field value <<<"$heard")" 0
ask bob "read 500000"; check "bob reads on" "$(field value <<<"$heard")" 4711
run sum "$sum_ctx"; check "the program runs, and sums up the same" "$([[ $ctx == "$summed" ]] && echo yes)" yes
run count "$(le 8 0)"; check "the global variable went on to" "$(at "$ctx" 0 8)" 4
run alloc_at "$(le 8 $((base + page * 4096)))$(le 4 1)$(le 4 0)$(le 8 0)"
check "allocating bob's page, which is taken, gives" "$(at "$ctx" 16 8)" 0
address=$((base + 600000 * 4096))
run alloc_at "$(le 8 $address)$(le 4 1)$(le 4 0)$(le 8 0)"
check "allocating a free one gives its address" "$(printf '0x%x' "$(at "$ctx" 16 8)")" "$(printf '0x%x' $address)"

title "5. The broker is killed while a program runs in it"
bytes=$(all_bytes)
start watch as bob toucher work --hold
hear watch
turns() { ask watch "read 0"; turns=$(field value <<<"$heard"); }
by alice uarena -j prog run work --repeat 1000 >"$work/run" 2>&1 &
runner=$!
at_work() { local before=${turns:-0}; turns; ((before > 0 && turns > before)); }
wait_until at_work
note "the program is at work: $turns turns so far"
broker=$(unit uarenad.service MainPID)
began=$(now)
kill -KILL "$broker"
status=0
wait $runner || status=$?
note "alice is told after $(ms_since "$began"): $(json error <"$work/run")"
check "errno" "$(json errno <"$work/run")" 130  # EOWNERDEAD
check "exit status" "$status" 1
turns; left=$turns; turns
check "nobody ran it again: turns" "$turns" "$left"
check "the log says that it was cut off" "$(grep -c 'event=run.cut_off .*name="work"' "$work/log")" 1
mark=$(by alice uarena -j arena show work | json cut_off_runs)
check "the arena is marked: runs that were cut off" "$mark" 1
run count "$(le 8 0)"; check "programs run again, and the global variable is" "$(at "$ctx" 0 8)" 5
check "sha256 of the other arena" "$(all_bytes)" "$bytes"

title "6. The arena as files"
systemctl start uarenafs.service
cd /run/uarena/fs
check "ls" "$(by alice ls | paste -sd' ')" "heap work"
by alice cat heap/info | sed 's/^/     /'
check "info and the command agree on the pages" "$(by alice cat heap/info | sed -n 's/^pages_allocated: //p')" \
  "$(by alice uarena -j arena show heap | json pages_allocated)"
before=$(by alice uarena -j arena show heap | json pages_allocated)
by alice hexdump -C -n 64 heap/mem | sed 's/^/     /'
head_word=$(by alice hexdump -v -e '1/8 "0x%x"' -n 8 heap/mem)
check "its first word is the head of the list" "$head_word" "$(field head <<<"$walked")"
check "looking made no page" "$(by alice uarena -j arena show heap | json pages_allocated)" "$before"
cd /

title "7. systemctl stop"
began=$(now)
systemctl stop uarenad.socket
note "stopped in $(ms_since "$began")"
for name in uarenad.socket uarenad.service uarenafs.service; do
  check "$name" "$(unit $name ActiveState), $(unit $name Result)" "inactive, success"
done
check "mounts on /run/uarena/fs" "$(grep -c ' /run/uarena/fs ' /proc/self/mountinfo || true)" 0
check "descriptors that systemd keeps" "$(unit uarenad.service NFileDescriptorStore)" 0
ask alice "read 500000"; check "alice's memory is still hers" "$(field value <<<"$heard")" 4711
ask alice "write 900000 9"; check "and ordinary: an absent page" "$(field value <<<"$heard")" 9
for client in alice bob watch; do
  tell $client quit
  finish $client
  check "client $client ended with status" "$ended" 0
done
((failures == 0))
