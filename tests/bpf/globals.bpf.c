// Variables in every section that can hold them (K79-K81): constants, initialised, zero, in the
// arena, and in a section of their own. The values of one run are seen by the next.
#include "contexts.h"

TEST_ARENA(TEST_PAGES, 0);

const volatile __u64 constant = 11;
const volatile __u64 constants[4] = {1, 2, 3, 4};
__u64 initialised = 22;
static __u64 hidden_one = 5;
__u64 zero[16];
__u64 custom SEC(".data.custom") = 55;
__u64 __arena_global in_arena = 44;

SEC("syscall")
int globals(struct globals_ctx* ctx) {
  ctx->rodata = constant + constants[3];
  ctx->data = initialised + hidden_one;
  ctx->bss = zero[15];
  ctx->custom = custom;
  ctx->arena = in_arena;
  initialised++;
  hidden_one++;
  zero[15] += 3;
  custom += 4;
  in_arena += 5;
  return 0;
}

TEST_LICENSE;
