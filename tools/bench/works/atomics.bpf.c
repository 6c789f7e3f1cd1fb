// SPDX-License-Identifier: MIT
// Adding, fetching and comparing with nobody else there: the instructions themselves.
#include "work.h"

#define TURNS 20000u

WORK_ARENA(16);

static __u64 __arena* word;

WORK(prepare) {
  if (!word) word = work_pages(1);
  return word ? 0 : -12;
}

WORK(run) {
  __u64 sum = 0;
  WORK_USES_ARENA;
  word[0] = word[8] = word[16] = 0;
  for (__u64 n = work_zero(); n < ctx->rounds * TURNS && can_loop; n++) {
    (void)__sync_fetch_and_add(&word[0], n);
    sum += __sync_fetch_and_add(&word[8], 3);
    sum += __sync_val_compare_and_swap(&word[16], n, n + 1);
  }
  ctx->result = sum + word[0];
  return 0;
}
