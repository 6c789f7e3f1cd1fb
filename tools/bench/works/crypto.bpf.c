// SPDX-License-Identifier: MIT
// ChaCha's double round over 64 KiB of blocks: sixteen 32-bit words that no machine's registers all
// hold here, added, xored and rotated.
#include "work.h"

#define BLOCKS 1024u

WORK_ARENA(64);

static __u32 __arena* blocks;

WORK(prepare) {
  __u64 state = 362436069ull + work_zero();
  if (!blocks) blocks = work_pages(BLOCKS * 64 / PAGE_SIZE);
  if (!blocks) return -12;
  for (__u64 n = work_zero(); n < BLOCKS * 16 && can_loop; n++)
    blocks[n] = (__u32)work_random(&state);
  return 0;
}

#define ROTATE(v, bits) ((v) << (bits) | (v) >> (32 - (bits)))
#define QUARTER(a, b, c, d)                            \
  x##a += x##b, x##d ^= x##a, x##d = ROTATE(x##d, 16); \
  x##c += x##d, x##b ^= x##c, x##b = ROTATE(x##b, 12); \
  x##a += x##b, x##d ^= x##a, x##d = ROTATE(x##d, 8);  \
  x##c += x##d, x##b ^= x##c, x##b = ROTATE(x##b, 7)

static __noinline void scramble(__u32 __arena* block) {
  __u32 x0 = block[0], x1 = block[1], x2 = block[2], x3 = block[3];
  __u32 x4 = block[4], x5 = block[5], x6 = block[6], x7 = block[7];
  __u32 x8 = block[8], x9 = block[9], x10 = block[10], x11 = block[11];
  __u32 x12 = block[12], x13 = block[13], x14 = block[14], x15 = block[15];
  WORK_USES_ARENA;
  for (__u64 round = work_zero(); round < 10 && can_loop; round++) {
    QUARTER(0, 4, 8, 12);
    QUARTER(1, 5, 9, 13);
    QUARTER(2, 6, 10, 14);
    QUARTER(3, 7, 11, 15);
    QUARTER(0, 5, 10, 15);
    QUARTER(1, 6, 11, 12);
    QUARTER(2, 7, 8, 13);
    QUARTER(3, 4, 9, 14);
  }
  block[0] += x0, block[1] += x1, block[2] += x2, block[3] += x3;
  block[4] += x4, block[5] += x5, block[6] += x6, block[7] += x7;
  block[8] += x8, block[9] += x9, block[10] += x10, block[11] += x11;
  block[12] += x12, block[13] += x13, block[14] += x14, block[15] += x15;
}

WORK(run) {
  __u64 sum = 0;
  WORK_USES_ARENA;
  for (__u64 n = work_zero(); n < BLOCKS * 16 && can_loop; n++) blocks[n] = (__u32)n;
  for (__u64 round = work_zero(); round < ctx->rounds && can_loop; round++)
    for (__u64 n = work_zero(); n < BLOCKS && can_loop; n++) scramble(blocks + 16 * n);
  for (__u64 n = work_zero(); n < BLOCKS * 16 && can_loop; n++) sum = sum * 31 + blocks[n];
  ctx->result = sum;
  return 0;
}
