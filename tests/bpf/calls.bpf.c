// Calls between functions of one object: static ones, global ones (verified on their own in the
// kernel) with numbers and with arena pointers (K75), and eight frames deep.
#include "contexts.h"

TEST_ARENA(TEST_PAGES, 0);

struct pair {
  __u64 a, b;
};
struct pair __arena_global pair;

static __noinline __u64 add(__u64 a, __u64 b) { return a + b; }

static __noinline __u64 sum_to(__u64 n) {
  __u64 sum = 0;
  for (__u64 i = 1; i <= n && can_loop; i++) sum = add(sum, i);
  return sum;
}

__noinline int square(int n) { return n * n; }

__noinline int sum_pair(struct pair __arena* p __arg_arena) { return (int)(p->a + p->b); }

#define FRAME(n, next) \
  static __noinline int frame##n(int depth) { return next(depth + 1) + 0 * depth; }
static __noinline int frame8(int depth) {
  asm volatile("" : "+r"(depth));
  return depth;
}
FRAME(7, frame8)
FRAME(6, frame7)
FRAME(5, frame6)
FRAME(4, frame5)
FRAME(3, frame4)
FRAME(2, frame3)

SEC("syscall")
int calls(struct calls_ctx* ctx) {
  pair.a = 40;
  pair.b = 2;
  ctx->by_static = sum_to(ctx->n);
  ctx->by_global = sum_pair(&pair);
  ctx->scalar = square(ctx->n);
  // This function is the first frame.
  ctx->depth = frame2(2);
  return 0;
}

// The same functions in a second program: each program has its own copy.
SEC("syscall")
int calls_again(struct calls_ctx* ctx) {
  ctx->scalar = square(ctx->n);
  ctx->by_static = sum_to(ctx->n);
  return 0;
}

TEST_LICENSE;
