#!/usr/bin/env bash
# The main job, shown step by step on real processes: a private broker, a BPF program that clang
# compiled from demo.bpf.c, and clients that walk what it built. Every step checks what it shows; the
# exit status is 0 only if all of them held. Nothing is left behind.
#
#   usage: tools/examples/demo/run.sh BUILD_DIRECTORY
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
build=${1:?usage: run.sh BUILD_DIRECTORY}
build=$(cd "$build" && pwd)
PATH=$build/bin:$PATH
work=$(mktemp -d "${TMPDIR:-/tmp}/uarena-demo.XXXXXX")
export UARENA_SOCKET=$work/uarena.sock
broker=
. "$here/steps.sh"

cleanup() {
  local pid
  for pid in "${children[@]}" $broker; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

# ---- the steps --------------------------------------------------------------------------------
title "A private broker on $UARENA_SOCKET"
mkfifo "$work/log.pipe"
uarenad --socket "$UARENA_SOCKET" 2>"$work/log.pipe" &
broker=$!
exec {log}<"$work/log.pipe"
ready=
while [[ -z $ready ]] && IFS= read -r -t 20 line <&"$log"; do
  printf '%s\n' "$line" >>"$work/broker.log"
  [[ $line == *event=daemon.ready* ]] && ready=yes
done
[[ -n $ready ]] || { cat "$work/broker.log"; exit 1; }
cat <&"$log" >>"$work/broker.log" &
note "pid $broker, userfaultfd: $(sed -n 's/.* userfaultfd="\([^"]*\)".*/\1/p' "$work/broker.log" | head -n 1)"

title "1. An arena of 4 GiB; two clients attach it"
created=$(uarena -j arena create heap --pages 1048576)
base=$(json user_vm_start <<<"$created")
start one toucher heap --hold
start two toucher heap --hold
hear one; check "client one is attached at" "$(field base <<<"$heard")" "$base"
hear two; check "client two is attached at" "$(field base <<<"$heard")" "$base"
shown=$(uarena -j arena show heap)
check "clients" "$(json clients <<<"$shown")" 2
check "pages allocated" "$(json pages_allocated <<<"$shown")" 0
check "blocks of memory behind it" "$(json blocks <<<"$shown")" 0

title "2. A BPF object is loaded, verified, compiled and run"
loaded=$(uarena -j prog load "$build/bpf/demo.bpf.o" --arena heap)
note "programs: $(grep -o '"name":"[a-z_]*","section"' <<<"$loaded" | cut -d'"' -f4 | paste -sd' ')"
nodes=1000 keys=500
run build "$(le 4 $nodes)$(le 4 $keys)$(le 8 0)"
check "build returned" "$retval" 0
note "$nodes list nodes and $keys table entries in $(at "$ctx" 8 8) pages, in $((ns / 1000)) us"

title "3. Two processes walk both structures through the pointers as the program stored them"
walk_a=$(walker heap)
walk_b=$(walker heap)
note "$walk_a"
check "both see the same" "$walk_b" "$walk_a"
check "list nodes" "$(field list_len <<<"$walk_a")" "$nodes"
check "sum over the list" "$(field list_sum <<<"$walk_a")" $((nodes * (nodes + 1) / 2))
check "table entries" "$(field entries <<<"$walk_a")" "$keys"
walker heap --write 7 1000000 >/dev/null
values=$((keys * (keys + 1) / 2 * 3 + keys - (7 * 3 + 1) + 1000000))
check "one wrote a value, the other reads the sum" "$(walker heap | field value_sum)" "$values"
run sum "$(le 8 0)$(le 8 0)$(le 8 0)$(le 8 0)$(le 8 0)"
check "and the program computes it as well" "$(at "$ctx" 32 8)" "$values"

title "4. A client touches a page that nobody has allocated"
page=500000
address=$((base + page * 4096))
before=$(uarena -j arena show heap)
ask one "write $page 4711"
note "$heard"
after=$(uarena -j arena show heap)
check "pages that this made" $(($(json pages_allocated <<<"$after") - $(json pages_allocated <<<"$before"))) 1
run read_word "$(le 8 $address)$(le 8 0)"
check "the program reads there" "$(at "$ctx" 8 8)" 4711
run alloc_at "$(le 8 $address)$(le 4 1)$(le 4 0)$(le 8 0)"
check "an allocation at that address returns" "$(at "$ctx" 16 8)" 0

title "5. With BPF_F_SEGV_ON_FAULT the same touch is a SIGSEGV"
segv=$(uarena -j arena create strict --pages 1024 --segv-on-fault)
strict=$(json user_vm_start <<<"$segv")
uarena -j prog load "$build/bpf/segv.bpf.o" --arena strict >/dev/null
page=7
address=$((strict + page * 4096))
strict_prog() { uarena -j prog list | grep -o '{[^{}]*"name":"'"$1"'"[^{}]*}' | grep '"object":"segv' | json id; }
alloc_id=$(strict_prog alloc_at) free_id=$(strict_prog free_at)
start handler toucher strict --handler --hold
hear handler
ask handler "read $page"
note "with a handler:    $heard"
check "exact si_addr" "$(field si_addr <<<"$heard")" "$(printf '0x%x' "$address")"
start plain toucher strict --hold
hear plain
tell plain "read $page"
finish plain
check "without a handler the client dies by signal" $((ended - 128)) 11
run "$alloc_id" "$(le 8 $address)$(le 4 1)$(le 4 0)$(le 8 0)"
check "the program allocates the page at" "$(printf '0x%x' "$(at "$ctx" 16 8)")" "$(printf '0x%x' "$address")"
ask handler "read $page"
check "now the same touch reads" "$(field value <<<"$heard")" 0
run "$free_id" "$(le 8 $address)$(le 4 1)$(le 4 0)$(le 8 0)"
ask handler "read $page"
check "freed again, SIGSEGV again at" "$(field si_addr <<<"$heard")" "$(printf '0x%x' "$address")"

title "6. Which pages exist, and who put them there"
uarena page map heap | tee "$work/map"
check "the map names programs and faults" "$(grep -c -E 'program|fault' "$work/map" | sed 's/^[1-9].*/yes/')" yes

title "And at the end"
for client in one two handler; do
  tell "$client" quit
  finish "$client"
  check "client $client ended with status" "$ended" 0
done
kill -TERM "$broker"
status=0
wait "$broker" || status=$?
broker=
check "the broker stopped with status" "$status" 0

verdict
