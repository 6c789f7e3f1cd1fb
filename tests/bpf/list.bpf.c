// A linked list: pages are allocated, nodes are cut off them, the list is walked.
#include "contexts.h"

TEST_ARENA(TEST_PAGES, 0);

struct node {
  struct node __arena* next;
  __u64 value;
};

struct node __arena* __arena_global head;

SEC("syscall")
int build(struct count_ctx* ctx) {
  struct node __arena* next = NULL;
  struct node __arena* end = NULL;
  for (__u64 i = 1; i <= ctx->count && can_loop; i++) {
    if (next == end) {
      next = bpf_arena_alloc_pages(&arena, NULL, 1, NUMA_NO_NODE, 0);
      if (!next) return -12;
      end = next + PAGE_SIZE / sizeof(struct node);
    }
    next->value = i;
    next->next = head;
    head = next++;
  }
  return 0;
}

SEC("syscall")
int walk(struct count_ctx* ctx) {
  __u64 found = 0, sum = 0;
  for (struct node __arena* node = head; node && can_loop; node = node->next) {
    found++;
    sum += node->value;
  }
  ctx->found = found;
  ctx->sum = sum;
  return 0;
}

TEST_LICENSE;
