// SPDX-License-Identifier: MIT
// Shell patterns ('*' and '?') matched against 2,000 file names of some 40 bytes. Branches that
// nobody can predict, on bytes.
#include "work.h"

#define NAMES 2000u
#define NAME_SIZE 48u
#define PATTERNS 3u

WORK_ARENA(64);

static char __arena* names;
static char __arena* patterns;

WORK(prepare) {
  __u64 state = 2463534242ull + work_zero();
  if (!names) names = work_pages(NAMES * NAME_SIZE / PAGE_SIZE + 1);
  if (!patterns) patterns = work_pages(1);
  if (!names || !patterns) return -12;
  for (__u64 n = work_zero(); n < NAMES * NAME_SIZE && can_loop; n++) {
    const __u64 at = n % NAME_SIZE;
    names[n] = at >= 40 ? 0 : "abc/.b-a"[work_random(&state) >> 61];
  }
  for (__u64 n = work_zero(); n < 8 && can_loop; n++) {
    patterns[n] = "*a?b*c*"[n];
    patterns[16 + n] = "*/b*.?a"[n];
    patterns[32 + n] = "a*-*-*/"[n];
  }
  return 0;
}

static __noinline int matches(const char __arena* name, const char __arena* pattern) {
  const char __arena* star = NULL;
  const char __arena* from = NULL;
  WORK_USES_ARENA;
  while (*name && can_loop) {
    const char wanted = *pattern;
    if (wanted == '*') {
      star = ++pattern;
      from = name;
    } else if (wanted == '?' || wanted == *name) {
      pattern++;
      name++;
    } else if (star) {
      pattern = star;
      name = ++from;
    } else {
      return 0;
    }
  }
  while (*pattern == '*' && can_loop) pattern++;
  return !*pattern;
}

WORK(run) {
  __u64 found = 0;
  WORK_USES_ARENA;
  for (__u64 round = work_zero(); round < ctx->rounds && can_loop; round++)
    for (__u64 p = work_zero(); p < PATTERNS && can_loop; p++)
      for (__u64 n = work_zero(); n < NAMES && can_loop; n++)
        found += (__u64)(unsigned)matches(names + n * NAME_SIZE, patterns + 16 * p);
  ctx->result = found;
  return 0;
}
