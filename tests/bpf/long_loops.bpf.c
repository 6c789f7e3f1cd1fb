// Ordinary loops, written as anybody would: no can_loop, no bpf_for, constants where they begin.
// The kernel's verifier walks every pass of them and gives up on their length; each ends, though
// that is not to be seen from one instruction.
#include "contexts.h"

TEST_ARENA(TEST_PAGES, 0);

// A naive search for a pattern: both indices begin at constants, and how far the inner one gets
// depends on the bytes.
char __arena_global text[60000];
char __arena_global pattern[8];

SEC("syscall")
int search(struct count_ctx* ctx) {
  __u64 found = 0;
  for (int i = 0; i < 60000 - 8; i++) {
    int j = 0;
    while (j < 8 && text[i + j] == pattern[j]) j++;
    if (j == 8) found++;
  }
  ctx->found = found;
  return 0;
}

// A skip list whose levels come from a generator with a constant seed.
#define LEVELS 8

struct tower {
  __u64 key;
  struct tower __arena* next[LEVELS];
};

SEC("syscall")
int skip_list(struct count_ctx* ctx) {
  struct tower __arena* start = bpf_arena_alloc_pages(&arena, NULL, 2, NUMA_NO_NODE, 0);
  if (!start) return -12;
  __u32 seed = 12345;
  for (int n = 1; n <= 100; n++) {
    seed = seed * 1103515245 + 12345;
    struct tower __arena* tower = &start[n];
    tower->key = (seed >> 16) % 1000;
    int levels = 1;
    for (__u32 bits = seed >> 20; levels < LEVELS && (bits & 1); bits >>= 1) levels++;
    struct tower __arena* at = start;
    for (int l = LEVELS - 1; l >= 0; l--) {
      while (at->next[l] && at->next[l]->key < tower->key) at = at->next[l];
      if (l < levels) {
        tower->next[l] = at->next[l];
        at->next[l] = tower;
      }
    }
  }
  __u64 found = 0, sum = 0;
  for (struct tower __arena* t = start->next[0]; t; t = t->next[0]) {
    found++;
    sum += t->key;
  }
  ctx->found = found;
  ctx->sum = sum;
  return 0;
}
