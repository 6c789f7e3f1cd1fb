// SPDX-License-Identifier: MIT
// The smallest programs: one that does nothing, and one that meets absent pages all the time.
#include "contexts.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARENA);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 16);
} arena SEC(".maps");

static __u64 __arena* page;

SEC("syscall")
int nothing(void* ctx) { return 0; }

SEC("syscall")
int absent_load(struct bench_absent_ctx* ctx) {
  __u64 sum = 0;
  if (!page) {
    page = bpf_arena_alloc_pages(&arena, NULL, 1, NUMA_NO_NODE, 0);
    if (!page) return -12;
    bpf_arena_free_pages(&arena, page, 1);
  }
  for (__u64 n = 0; n < ctx->loads && can_loop; n++) sum |= *(volatile __u64 __arena*)page;
  ctx->sum = sum;
  return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
