// SPDX-License-Identifier: MIT
// An arena in which a client's touch of an absent page is a SIGSEGV (BPF_F_SEGV_ON_FAULT, K30):
// pages exist only where the program allocated them. It has no arena globals, since the loader
// would have to touch an absent page to put them there.
#include "demo.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARENA);
  __uint(map_flags, BPF_F_MMAPABLE | BPF_F_SEGV_ON_FAULT);
  __uint(max_entries, DEMO_SEGV_PAGES);
} arena SEC(".maps");

SEC("syscall")
int alloc_at(struct demo_pages* ctx) {
  ctx->result = (__u64)bpf_arena_alloc_pages(&arena, (void __arena*)ctx->address, ctx->pages,
                                             NUMA_NO_NODE, 0);
  return 0;
}

SEC("syscall")
int free_at(struct demo_pages* ctx) {
  bpf_arena_free_pages(&arena, (void __arena*)ctx->address, ctx->pages);
  ctx->result = 0;
  return 0;
}

SEC("syscall")
int peek(struct demo_word* ctx) {
  uarena_uses(arena);
  ctx->value = *(__u64 __arena*)ctx->address;
  return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
