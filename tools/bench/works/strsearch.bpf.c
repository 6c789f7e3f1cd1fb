// SPDX-License-Identifier: MIT
// A naive search for "needle" in 256 KiB of text that is full of beginnings of it. Byte loads and
// short loops.
#include "work.h"

#define TEXT 262144u

WORK_ARENA(128);

static char __arena* text;
static char __arena* pattern;

WORK(prepare) {
  __u64 state = 88172645463325252ull + work_zero();
  if (!text) text = work_pages(TEXT / PAGE_SIZE);
  if (!pattern) pattern = work_pages(1);
  if (!text || !pattern) return -12;
  for (__u64 n = work_zero(); n < TEXT && can_loop; n++)
    text[n] = "nnedlexe"[work_random(&state) >> 61];
  for (__u64 n = work_zero(); n < 6 && can_loop; n++) pattern[n] = "needle"[n];
  return 0;
}

WORK(run) {
  __u64 found = 0;
  WORK_USES_ARENA;
  for (__u64 round = work_zero(); round < ctx->rounds && can_loop; round++) {
    for (__u64 at = work_zero(); at + 6 <= TEXT && can_loop; at++) {
      __u64 n = work_zero();
      while (n < 6 && text[at + n] == pattern[n] && can_loop) n++;
      if (n == 6) found += at;
    }
  }
  ctx->result = found;
  return 0;
}
