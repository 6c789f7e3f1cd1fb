// SPDX-License-Identifier: MIT
// The demo's kernel side: a linked list and a hash table, built by a BPF program in pages that it
// allocates, for clients to walk through the very pointers it stores. See demo.h for the layout.
#include "demo.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARENA);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, DEMO_ARENA_PAGES);
} arena SEC(".maps");

// At offset 0 of the arena, so every client knows where to look.
struct demo_roots __arena_global roots = {};

enum { kNoMemory = -12, kTimedOut = -110 };  // -ENOMEM, -ETIMEDOUT

// `size` zeroed bytes, a multiple of 8 and at most a page; NULL when the arena is full. Memory is
// never given back: the demo only grows.
static __noinline void __arena* take(__u32 size) {
  if (roots.left < size) {
    char __arena* page = bpf_arena_alloc_pages(&arena, NULL, 1, NUMA_NO_NODE, 0);
    if (!page) return NULL;
    roots.free = page;
    roots.left = PAGE_SIZE;
    roots.pages++;
  }
  void __arena* memory = roots.free;
  roots.free += size;
  roots.left -= size;
  return memory;
}

static int push(__u64 value) {
  struct demo_node __arena* node = take(sizeof(*node));
  if (!node) return kNoMemory;
  node->value = value;
  node->next = roots.head;
  roots.head = node;
  roots.list_len++;
  return 0;
}

// The entry of `key`, or NULL.
static __noinline struct demo_entry __arena* find(__u64 key) {
  struct demo_entry __arena* entry = roots.table->buckets[demo_bucket(key)];
  while (entry && can_loop) {
    if (entry->key == key) break;
    entry = entry->next;
  }
  return entry;
}

static int set(__u64 key, __u64 value) {
  struct demo_entry __arena* entry = find(key);
  if (!entry) {
    entry = take(sizeof(*entry));
    if (!entry) return kNoMemory;
    struct demo_entry __arena* __arena* bucket = &roots.table->buckets[demo_bucket(key)];
    entry->key = key;
    entry->next = *bucket;
    *bucket = entry;
    roots.entries++;
  }
  entry->value = value;
  return 0;
}

SEC("syscall")
int build(struct demo_build* ctx) {
  __u64 done = 0;
  int error = 0;
  if (!roots.table) roots.table = take(sizeof(struct demo_table));
  if (!roots.table) return kNoMemory;
  for (__u64 value = 1; value <= ctx->list_len && !error && can_loop; value++, done++)
    error = push(value);
  for (__u64 key = 1; key <= ctx->keys && !error && can_loop; key++, done++)
    error = set(key, demo_value(key));
  ctx->pages = roots.pages;
  if (error) return error;
  return done == (__u64)ctx->list_len + ctx->keys ? 0 : kTimedOut;
}

static void sum_list(struct demo_sum* ctx) {
  __u64 len = 0, sum = 0;
  for (struct demo_node __arena* node = roots.head; node && can_loop; node = node->next) {
    len++;
    sum += node->value;
  }
  ctx->list_len = len;
  ctx->list_sum = sum;
}

static void sum_table(struct demo_sum* ctx) {
  struct demo_table __arena* table = roots.table;
  __u64 entries = 0, keys = 0, values = 0;
  for (__u32 i = 0; table && i < DEMO_BUCKETS && can_loop; i++) {
    struct demo_entry __arena* entry = table->buckets[i];
    for (; entry && can_loop; entry = entry->next) {
      entries++;
      keys += entry->key;
      values += entry->value;
    }
  }
  ctx->entries = entries;
  ctx->key_sum = keys;
  ctx->value_sum = values;
}

SEC("syscall")
int sum(struct demo_sum* ctx) {
  sum_list(ctx);
  sum_table(ctx);
  return 0;
}

SEC("syscall")
int read_word(struct demo_word* ctx) {
  uarena_uses(arena);
  ctx->value = *(__u64 __arena*)ctx->address;
  return 0;
}

SEC("syscall")
int alloc_at(struct demo_pages* ctx) {
  ctx->result = (__u64)bpf_arena_alloc_pages(&arena, (void __arena*)ctx->address, ctx->pages,
                                             NUMA_NO_NODE, 0);
  return 0;
}

SEC("syscall")
int free_at(struct demo_pages* ctx) {
  bpf_arena_free_pages(&arena, (void __arena*)ctx->address, ctx->pages);
  ctx->result = 0;
  return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
