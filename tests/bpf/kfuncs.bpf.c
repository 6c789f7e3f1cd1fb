// The arena functions with whatever arguments the context says (K33-K41), and one load and one
// store, to look at the pages.
#include "contexts.h"

TEST_ARENA(TEST_PAGES, 0);

SEC("syscall")
int alloc_pages(struct kfunc_ctx* ctx) {
  ctx->result = (__u64)bpf_arena_alloc_pages(&arena, (void __arena*)ctx->addr, ctx->cnt, ctx->node,
                                             ctx->flags);
  return 0;
}

SEC("syscall")
int free_pages(struct kfunc_ctx* ctx) {
  bpf_arena_free_pages(&arena, (void __arena*)ctx->addr, ctx->cnt);
  return 0;
}

SEC("syscall")
int reserve_pages(struct kfunc_ctx* ctx) {
  ctx->result = (__u64)(__s64)bpf_arena_reserve_pages(&arena, (void __arena*)ctx->addr, ctx->cnt);
  return 0;
}

SEC("syscall")
int peek(struct kfunc_ctx* ctx) {
  uarena_uses(arena);
  ctx->result = *(__u64 __arena*)ctx->addr;
  return 0;
}

SEC("syscall")
int poke(struct kfunc_ctx* ctx) {
  uarena_uses(arena);
  *(__u64 __arena*)ctx->addr = ctx->flags;
  return 0;
}

TEST_LICENSE;
