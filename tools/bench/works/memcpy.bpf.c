// SPDX-License-Identifier: MIT
// 16 KiB copied in words of eight bytes, four of them a turn.
#include "work.h"

#define WORDS 2048u

WORK_ARENA(16);

static __u64 __arena* from;
static __u64 __arena* to;

WORK(prepare) {
  if (!from) from = work_pages(WORDS * 8 / PAGE_SIZE);
  if (!to) to = work_pages(WORDS * 8 / PAGE_SIZE);
  if (!from || !to) return -12;
  for (__u64 n = work_zero(); n < WORDS && can_loop; n++) from[n] = n * PAGE_SIZE;
  return 0;
}

WORK(run) {
  __u64 sum = 0;
  WORK_USES_ARENA;
  for (__u64 round = work_zero(); round < ctx->rounds && can_loop; round++) {
    volatile __u64 __arena* target = to;
    for (__u64 n = work_zero(); n < WORDS && can_loop; n += 4) {
      target[n] = from[n];
      target[n + 1] = from[n + 1];
      target[n + 2] = from[n + 2];
      target[n + 3] = from[n + 3];
    }
    sum += to[round % WORDS];
  }
  ctx->result = sum;
  return 0;
}
