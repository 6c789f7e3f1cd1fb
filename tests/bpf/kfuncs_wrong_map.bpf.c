// The arena functions with a map that is no arena: the kernel accepts the program, and the
// functions do nothing (K34, K38, K41).
#include "contexts.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} array SEC(".maps");

SEC("syscall")
int alloc_pages(struct kfunc_ctx* ctx) {
  ctx->result = (__u64)bpf_arena_alloc_pages(&array, (void __arena*)ctx->addr, ctx->cnt, ctx->node,
                                             ctx->flags);
  return 0;
}

SEC("syscall")
int free_pages(struct kfunc_ctx* ctx) {
  bpf_arena_free_pages(&array, (void __arena*)ctx->addr, ctx->cnt);
  return 0;
}

SEC("syscall")
int reserve_pages(struct kfunc_ctx* ctx) {
  ctx->result = (__u64)(__s64)bpf_arena_reserve_pages(&array, (void __arena*)ctx->addr, ctx->cnt);
  return 0;
}

TEST_LICENSE;
