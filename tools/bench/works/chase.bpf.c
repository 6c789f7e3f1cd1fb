// SPDX-License-Identifier: MIT
// A random cycle through 16 MiB, one cache line a step: the memory's latency, and whatever a
// compiler adds to it.
#include "work.h"

#define LINES 262144u
#define STEPS 100000u

WORK_ARENA(4352);

struct line {
  struct line __arena* next;
  __u64 pad[7];
};

static struct line __arena* lines;

/* Sattolo's shuffle makes one cycle of all; the order is kept in the padding while it is made. */
WORK(prepare) {
  __u64 state = 521288629ull + work_zero();
  __u32 pages = LINES * sizeof(struct line) / PAGE_SIZE;
  if (lines) return 0;
  lines = work_pages(pages);
  if (!lines) return -12;
  for (__u64 n = work_zero(); n < LINES && can_loop; n++) lines[n].pad[0] = n;
  for (__u64 n = LINES - 1 + work_zero(); n > 0 && can_loop; n--) {
    const __u64 other = work_random(&state) % n;
    const __u64 kept = lines[n].pad[0];
    lines[n].pad[0] = lines[other].pad[0];
    lines[other].pad[0] = kept;
  }
  for (__u64 n = work_zero(); n < LINES && can_loop; n++) lines[n].next = &lines[lines[n].pad[0]];
  return 0;
}

WORK(run) {
  struct line __arena* at = lines;
  WORK_USES_ARENA;
  for (__u64 step = work_zero(); step < ctx->rounds * STEPS && can_loop; step++) at = at->next;
  ctx->result = (__u64)(at - lines);
  return 0;
}
