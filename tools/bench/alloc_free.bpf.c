// SPDX-License-Identifier: MIT
// The allocation benchmark: one page, allocated anywhere and freed again.
#include "contexts.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARENA);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1 << 20);
} arena SEC(".maps");

SEC("syscall")
int alloc_free(struct bench_pairs_ctx* ctx) {
  __u64 done = 0;
  while (done < ctx->pairs && can_loop) {
    void __arena* page = bpf_arena_alloc_pages(&arena, NULL, 1, NUMA_NO_NODE, 0);
    if (!page) return -12;
    bpf_arena_free_pages(&arena, page, 1);
    done++;
  }
  ctx->done = done;
  return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
