// Every atomic operation that the kernel allows on arena memory (K61), in 64 and 32 bits. The word
// starts as 0x100000005: the 32-bit programs must leave its upper half alone.
#include "contexts.h"

TEST_ARENA(TEST_PAGES, 0);

__u64 __arena_global word;

// AS1 to AS0 is a cast_kern; the asm then names exactly one instruction.
#define WORD ((void*)&word)
#define PLAIN64(op, operand) \
  asm volatile("lock *(u64 *)(%0 + 0) " op " %1" : : "r"(WORD), "r"(operand) : "memory")
#define PLAIN32(op, operand) \
  asm volatile("lock *(u32 *)(%0 + 0) " op " %1" : : "r"(WORD), "w"(operand) : "memory")
#define RECORD(step, value)      \
  ctx->returned[step] = (value); \
  ctx->memory[step] = word

SEC("syscall")
int atomics64(struct atomic_ctx* ctx) {
  __u64 operand;
  word = 0x100000005;
  operand = 2;
  PLAIN64("+=", operand);
  RECORD(0, 0);
  operand = ~1ull;
  PLAIN64("&=", operand);
  RECORD(1, 0);
  operand = 0x30;
  PLAIN64("|=", operand);
  RECORD(2, 0);
  operand = 0x200000001;
  PLAIN64("^=", operand);
  RECORD(3, 0);
  RECORD(4, __sync_fetch_and_add(&word, 0x100000000));
  RECORD(5, __sync_lock_test_and_set(&word, 77));
  RECORD(6, __sync_val_compare_and_swap(&word, 77, 0x500000088));
  RECORD(7, __sync_val_compare_and_swap(&word, 1, 2));
  return 0;
}

SEC("syscall")
int atomics32(struct atomic_ctx* ctx) {
  __u32 __arena* half = (__u32 __arena*)&word;
  __u32 operand;
  word = 0x100000005;
  operand = 2;
  PLAIN32("+=", operand);
  RECORD(0, 0);
  operand = ~1u;
  PLAIN32("&=", operand);
  RECORD(1, 0);
  operand = 0x30;
  PLAIN32("|=", operand);
  RECORD(2, 0);
  operand = 0x80000001;
  PLAIN32("^=", operand);
  RECORD(3, 0);
  RECORD(4, __sync_fetch_and_add(half, 0x80000000));
  RECORD(5, __sync_lock_test_and_set(half, 77));
  RECORD(6, __sync_val_compare_and_swap(half, 77, 0x88));
  RECORD(7, __sync_val_compare_and_swap(half, 1, 2));
  return 0;
}

TEST_LICENSE;
