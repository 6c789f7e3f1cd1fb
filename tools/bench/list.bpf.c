// SPDX-License-Identifier: MIT
// The list benchmark: nodes of 16 bytes, one after the other, newest in front; built in pages that
// are there already, then walked. The time per node is what is compared.
#include "contexts.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARENA);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 4096);
} arena SEC(".maps");

struct node {
  struct node __arena* next;
  __u64 value;
};

struct node __arena* memory;
struct node __arena* head;

// Not part of what is measured: pages for the largest list, in one piece.
SEC("syscall")
int prepare(struct bench_list_ctx* ctx) {
  const __u32 pages = BENCH_LIST_MAX_NODES * sizeof(struct node) / PAGE_SIZE;
  if (!memory) memory = bpf_arena_alloc_pages(&arena, NULL, pages, NUMA_NO_NODE, 0);
  return memory ? 0 : -12;
}

SEC("syscall")
int build(struct bench_list_ctx* ctx) {
  struct node __arena* node = memory;
  struct node __arena* first = NULL;
  __u64 value = 0;
  asm volatile("" : : "r"(&arena));
  if (!node || ctx->nodes > BENCH_LIST_MAX_NODES) return -22;
  for (; value < ctx->nodes && can_loop; node++) {
    node->value = ++value;
    node->next = first;
    first = node;
  }
  head = first;
  ctx->result = value;
  return 0;
}

SEC("syscall")
int walk(struct bench_list_ctx* ctx) {
  __u64 sum = 0;
  asm volatile("" : : "r"(&arena));
  for (__u64 round = 0; round < ctx->rounds && can_loop; round++)
    for (struct node __arena* node = head; node && can_loop; node = node->next) sum += node->value;
  ctx->result = sum;
  return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
