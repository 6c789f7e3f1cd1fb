// A program that runs until a client says so, or for 250 ms (K54): it counts its turns where the
// client sees them.
#include "uarena_bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARENA);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 64);
} arena SEC(".maps");

struct globals {
  __u64 turns;
  __u64 stop;
};
volatile struct globals __arena_global globals;

SEC("syscall")
int long_run(void* ctx) {
  while (!globals.stop && can_loop) globals.turns++;
  return globals.stop;
}

char _license[] SEC("license") = "Dual MIT/GPL";
