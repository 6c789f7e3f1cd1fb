// A loop that only may_goto ends, after 250 ms (K54), and one that ends before.
#include "contexts.h"

SEC("syscall")
int spin(struct loop_ctx* ctx) {
  __u64 turns = 0;
  while (can_loop) {
    turns++;
    asm volatile("" : "+r"(turns));
    if (turns == ctx->limit) break;
  }
  ctx->turns = turns;
  return 0;
}

TEST_LICENSE;
