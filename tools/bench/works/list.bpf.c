// SPDX-License-Identifier: MIT
// A linked list of 1,000 nodes of 16 bytes, newest in front: built anew in pages that are there,
// and walked a thousand times. Shows the cost of a loop with may_goto around one dependent load.
#include "work.h"

#define NODES 1000u

WORK_ARENA(64);

struct node {
  struct node __arena* next;
  __u64 value;
};

static struct node __arena* memory;

WORK(prepare) {
  if (!memory) memory = work_pages(NODES * sizeof(struct node) / PAGE_SIZE + 1);
  return memory ? 0 : -12;
}

WORK(run) {
  struct node __arena* first = NULL;
  struct node __arena* node = memory;
  __u64 sum = 0;
  WORK_USES_ARENA;
  for (__u64 value = work_zero(); value < NODES && can_loop; node++) {
    node->value = ++value;
    node->next = first;
    first = node;
  }
  for (__u64 round = work_zero(); round < ctx->rounds && can_loop; round++)
    for (node = first; node && can_loop; node = node->next) sum += node->value;
  ctx->result = sum;
  return 0;
}
