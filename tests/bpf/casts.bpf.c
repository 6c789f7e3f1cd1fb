// Casts between user addresses and the program's own (K55-K57). Compiled a second time with
// BPF_F_NO_USER_CONV, where a cast to user leaves the low half (K58).
#include "contexts.h"

#ifndef CAST_FLAGS
#define CAST_FLAGS 0
#endif
TEST_ARENA(TEST_PAGES, CAST_FLAGS);

SEC("syscall")
int cast(struct cast_ctx* ctx) {
  uarena_uses(arena);
  void* kern = (void*)(void __arena*)ctx->in;
  // Keeps the compiler from seeing that one cast undoes the other.
  asm volatile("" : "+r"(kern));
  ctx->kern = (__u64)kern;
  ctx->user = (__u64)(void __arena*)kern;
  return 0;
}

TEST_LICENSE;
