// SPDX-License-Identifier: MIT
// The allocation benchmark: pages in one call, allocated anywhere and freed again, or left to a
// client in between.
#include "contexts.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARENA);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1 << 20);
} arena SEC(".maps");

SEC("syscall")
int alloc_free(struct bench_pairs_ctx* ctx) {
  const __u32 pages = ctx->pages;
  __u64 done = 0;
  while (done < ctx->pairs && can_loop) {
    void __arena* start = bpf_arena_alloc_pages(&arena, NULL, pages, NUMA_NO_NODE, 0);
    if (!start) return -12;
    bpf_arena_free_pages(&arena, start, pages);
    done++;
  }
  ctx->done = done;
  return 0;
}

SEC("syscall")
int allocate(struct bench_range_ctx* ctx) {
  void __arena* start = bpf_arena_alloc_pages(&arena, NULL, ctx->pages, NUMA_NO_NODE, 0);
  ctx->address = (__u64)start;
  return start ? 0 : -12;
}

SEC("syscall")
int release(struct bench_range_ctx* ctx) {
  bpf_arena_free_pages(&arena, (void __arena*)ctx->address, ctx->pages);
  return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
