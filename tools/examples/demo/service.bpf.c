// SPDX-License-Identifier: MIT
// For showing what a broker's death is to programs: one that remembers something outside of the
// arena, and one that is at work for as long as it may, where clients see it.
#include "demo.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARENA);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, DEMO_SERVICE_PAGES);
} arena SEC(".maps");

// The first word of the arena.
volatile __u64 __arena_global turns;
// An ordinary global variable: memory of the program, which no client sees.
__u64 calls;

SEC("syscall")
int count(struct demo_count* ctx) {
  uarena_uses(arena);
  ctx->calls = ++calls;
  return 0;
}

SEC("syscall")
int work(void* ctx) {
  while (can_loop) turns++;
  return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
