// SPDX-License-Identifier: MIT
// A checksum in the manner of xxHash over 256 KiB: multiplications, rotates and adds on four lanes.
#include "work.h"

#define WORDS 32768u
#define PRIME1 0x9e3779b185ebca87ull
#define PRIME2 0xc2b2ae3d27d4eb4full

WORK_ARENA(128);

static __u64 __arena* words;

WORK(prepare) {
  __u64 state = 123456789ull + work_zero();
  if (!words) words = work_pages(WORDS * 8 / PAGE_SIZE);
  if (!words) return -12;
  for (__u64 n = work_zero(); n < WORDS && can_loop; n++) words[n] = work_random(&state);
  return 0;
}

static inline __u64 rotate(__u64 value, unsigned bits) {
  return value << bits | value >> (64 - bits);
}

static inline __u64 mix(__u64 lane, __u64 word) {
  return rotate(lane + word * PRIME2, 31) * PRIME1;
}

WORK(run) {
  __u64 a = PRIME1, b = PRIME2, c = 0, d = 0 - PRIME1;
  WORK_USES_ARENA;
  for (__u64 round = work_zero(); round < ctx->rounds && can_loop; round++) {
    for (__u64 n = work_zero(); n + 4 <= WORDS && can_loop; n += 4) {
      a = mix(a, words[n]);
      b = mix(b, words[n + 1]);
      c = mix(c, words[n + 2]);
      d = mix(d, words[n + 3]);
    }
  }
  a = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
  ctx->result = a ^ a >> 33;
  return 0;
}
