// SPDX-License-Identifier: MIT
// Four functions deep, and the Fibonacci numbers with a stack of their own in the arena, a call for
// each push and pop.
#include "work.h"

#define TURNS 2000u

WORK_ARENA(16);

static __u32 __arena* stack;

WORK(prepare) {
  if (!stack) stack = work_pages(1);
  return stack ? 0 : -12;
}

static __noinline __u64 fourth(__u64 a, __u64 b) { return a * 3 + (b ^ 5); }
static __noinline __u64 third(__u64 a, __u64 b) { return fourth(a + 1, b) + b; }
static __noinline __u64 second(__u64 a, __u64 b) { return third(b, a) ^ a; }
static __noinline __u64 first(__u64 a, __u64 b) { return second(a, b + 7) + 1; }

static __noinline __u32 push(__u32 depth, __u32 value) {
  WORK_USES_ARENA;
  stack[depth & 1023] = value;
  return depth + 1;
}

static __noinline __u32 pop(__u32 depth) {
  WORK_USES_ARENA;
  return stack[(depth - 1) & 1023];
}

static __noinline __u64 fibonacci(__u32 n) {
  __u64 sum = 0;
  __u32 depth = push((__u32)work_zero(), n);
  WORK_USES_ARENA;
  while (depth != 0 && can_loop) {
    const __u32 top = pop(depth);
    depth--;
    if (top < 2) {
      sum += top;
      continue;
    }
    depth = push(depth, top - 1);
    depth = push(depth, top - 2);
  }
  return sum;
}

WORK(run) {
  __u64 sum = 0;
  WORK_USES_ARENA;
  for (__u64 round = work_zero(); round < ctx->rounds && can_loop; round++) {
    for (__u64 n = work_zero(); n < TURNS && can_loop; n++) sum += first(n, sum);
    sum += fibonacci(12);
  }
  ctx->result = sum;
  return 0;
}
