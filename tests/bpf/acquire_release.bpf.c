// load_acquire and store_release on arena memory in all four sizes (K61).
#include "raw_atomics.h"

TEST_ARENA(TEST_PAGES, 0);

__u64 __arena_global word;

#define BOTH(index, code)                                   \
  word = ~0ull;                                             \
  ctx->loaded[index] = load_acquire(code, (void*)&word, 0); \
  word = 0;                                                 \
  store_release(code, (void*)&word, value);                 \
  ctx->stored[index] = word

SEC("syscall")
int acquire_release(struct acquire_ctx* ctx) {
  __u64 value = 0x1122334455667788;
  BOTH(0, ATOMIC_B);
  BOTH(1, ATOMIC_H);
  BOTH(2, ATOMIC_W);
  BOTH(3, ATOMIC_DW);
  return 0;
}

TEST_LICENSE;
