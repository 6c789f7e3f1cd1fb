// SPDX-License-Identifier: MIT
// A binary search tree of 20,000 random keys, built and searched. Dependent loads with an
// unpredictable branch each; mostly memory.
#include "work.h"

#define KEYS 20000u

WORK_ARENA(256);

struct node {
  struct node __arena* child[2];
  __u64 key;
  __u64 pad;
};
typedef struct node __arena* node_ptr;

static struct node __arena* pool;

WORK(prepare) {
  if (!pool) pool = work_pages(KEYS * sizeof(struct node) / PAGE_SIZE + 1);
  return pool ? 0 : -12;
}

static __noinline void insert(node_ptr root, node_ptr node) {
  node_ptr at = root;
  WORK_USES_ARENA;
  while (at && can_loop) {
    node_ptr __arena* child = &at->child[node->key > at->key];
    at = *child;
    if (!at) *child = node;
  }
}

static __noinline __u64 depth_of(node_ptr at, __u64 key) {
  __u64 depth = 0;
  WORK_USES_ARENA;
  for (; at && at->key != key && can_loop; depth++) at = at->child[key > at->key];
  return depth;
}

WORK(run) {
  __u64 sum = 0;
  WORK_USES_ARENA;
  for (__u64 round = work_zero(); round < ctx->rounds && can_loop; round++) {
    __u64 state = 1070739ull + work_zero();
    for (__u64 n = work_zero(); n < KEYS && can_loop; n++) {
      node_ptr node = &pool[n];
      node->child[0] = NULL;
      node->key = work_random(&state);
      node->child[1] = NULL;
      if (n) insert(pool, node);
    }
    state = 1070739ull + work_zero();
    for (__u64 n = work_zero(); n < KEYS && can_loop; n++)
      sum += depth_of(pool, work_random(&state));
  }
  ctx->result = sum;
  return 0;
}
