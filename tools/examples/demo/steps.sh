# Sourced by the demos: showing steps, checking what they show, reading what the command says, and
# clients that run in the background and are spoken to by lines. They bring a directory, $work.
failures=0
children=()

title() { printf '\n%s\n' "$*"; }
note() { printf '     %s\n' "$*"; }
# check WHAT HAVE WANT: one line, with a mark.
check() {
  if [[ $2 == "$3" ]]; then
    printf '  ok %s: %s\n' "$1" "$2"
  else
    printf '  NO %s: %s, expected %s\n' "$1" "$2" "$3"
    failures=$((failures + 1))
  fi
}

# json KEY: the value of a top-level key of the JSON on standard input, without quotes.
json() { sed -n 's/.*"'"$1"'":"\{0,1\}\([^",}]*\).*/\1/p' | head -n 1; }
# field KEY: the value of key=value on standard input.
field() { tr ' ' '\n' | sed -n "s/^$1=//p" | head -n 1; }

# le BYTES NUMBER: little-endian hex; and back: at OFFSET BYTES of the hex in $1.
le() {
  local i out='' n=$2
  for ((i = 0; i < $1; i++)); do
    out+=$(printf '%02x' $((n & 255)))
    n=$((n >> 8))
  done
  printf '%s' "$out"
}
at() {
  local hex=${1:$(($2 * 2)):$(($3 * 2))} out='' i
  for ((i = ${#hex} - 2; i >= 0; i -= 2)); do out+=${hex:i:2}; done
  printf '%d' $((16#$out))
}

# run PROGRAM CTX_HEX: runs it; sets retval, ctx (hex), ns.
run() {
  local answer
  answer=$(uarena -j prog run "$1" --ctx-in "hex:$2")
  retval=$(json retval <<<"$answer")
  ctx=$(json ctx_out <<<"$answer")
  ns=$(json duration_ns <<<"$answer")
}

# start NAME COMMAND…: a client in the background; `tell` sends it a line, `hear` reads one.
declare -A to from pid_of
start() {
  local name=$1
  shift
  mkfifo "$work/$name.in" "$work/$name.out"
  "$@" <"$work/$name.in" >"$work/$name.out" 2>"$work/$name.err" &
  pid_of[$name]=$!
  children+=($!)
  local in out
  exec {in}>"$work/$name.in" {out}<"$work/$name.out"
  to[$name]=$in
  from[$name]=$out
}
tell() { printf '%s\n' "$2" >&"${to[$1]}"; }
hear() { IFS= read -r -t 10 heard <&"${from[$1]}" || heard='(no answer)'; }
ask() { tell "$1" "$2" && hear "$1"; }
# finish NAME: waits for its end; sets ended. The shell's own word about a signal is not shown.
finish() {
  local in=${to[$1]} out=${from[$1]}
  ended=0
  { wait "${pid_of[$1]}" || ended=$?; } 2>/dev/null
  exec {in}>&- {out}<&-
}

# verdict: the demo's last line and exit status.
verdict() {
  if ((failures)); then
    printf '\n%d checks did not hold.\n' "$failures"
    exit 1
  fi
  printf '\nAll of it held.\n'
}
