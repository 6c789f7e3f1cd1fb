// Loads, stores and atomics on a page that may be absent (K48-K51): the program always runs to its
// end, and no access creates the page.
#include "raw_atomics.h"

TEST_ARENA(TEST_PAGES, 0);

// Destination registers hold this before the access.
#define BEFORE 0x5a5a5a5a5a5a5a5a

static void load_all(struct absent_ctx* ctx) {
  ctx->loads[0] = *(volatile __u8 __arena*)ctx->addr;
  ctx->loads[1] = *(volatile __u16 __arena*)ctx->addr;
  ctx->loads[2] = *(volatile __u32 __arena*)ctx->addr;
  ctx->loads[3] = *(volatile __u64 __arena*)ctx->addr;
  ctx->signed_loads[0] = *(volatile __s8 __arena*)ctx->addr;
  ctx->signed_loads[1] = *(volatile __s16 __arena*)ctx->addr;
  ctx->signed_loads[2] = *(volatile __s32 __arena*)ctx->addr;
}

SEC("syscall")
int loads(struct absent_ctx* ctx) {
  uarena_uses(arena);
  load_all(ctx);
  ctx->done = 1;
  return 0;
}

SEC("syscall")
int stores(struct absent_ctx* ctx) {
  uarena_uses(arena);
  *(volatile __u8 __arena*)ctx->addr = 1;
  *(volatile __u16 __arena*)ctx->addr = 2;
  *(volatile __u32 __arena*)ctx->addr = 3;
  *(volatile __u64 __arena*)ctx->addr = 4;
  // From a register, too.
  *(volatile __u64 __arena*)ctx->addr = ctx->addr;
  ctx->after_store = *(volatile __u64 __arena*)ctx->addr;
  ctx->done = 1;
  return 0;
}

SEC("syscall")
int atomics(struct absent_ctx* ctx) {
  __u64 __arena* word = (__u64 __arena*)ctx->addr;
  uarena_uses(arena);
  asm volatile("lock *(u64 *)(%0 + 0) += %1" : : "r"((void*)word), "r"(1ull) : "memory");
  ctx->fetch_add = __sync_fetch_and_add(word, BEFORE);
  ctx->xchg = __sync_lock_test_and_set(word, BEFORE);
  ctx->cmpxchg = __sync_val_compare_and_swap(word, BEFORE, 1);
  ctx->acquire = load_acquire(ATOMIC_DW, (void*)word, BEFORE);
  store_release(ATOMIC_DW, (void*)word, BEFORE);
  ctx->after_store = *(volatile __u64 __arena*)ctx->addr;
  ctx->done = 1;
  return 0;
}

TEST_LICENSE;
