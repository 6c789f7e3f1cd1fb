// A chained hash table in the arena, with its buckets in one allocation of several pages.
#include "contexts.h"

TEST_ARENA(TEST_PAGES, 0);

#define BUCKETS 1024u

struct entry {
  struct entry __arena* next;
  __u64 key, value;
};
typedef struct entry __arena* entry_ptr;

entry_ptr __arena* table;  // in .bss: a pointer into the arena, kept outside of it
struct entry __arena* page;
__u64 used;

#define ENTRIES_PER_PAGE (PAGE_SIZE / sizeof(struct entry))

static entry_ptr __arena* bucket(__u64 key) {
  return &table[(key * 0x9e3779b97f4a7c15ull >> 32) & (BUCKETS - 1)];
}

static __noinline struct entry __arena* new_entry(void) {
  if (used % ENTRIES_PER_PAGE == 0) page = bpf_arena_alloc_pages(&arena, NULL, 1, NUMA_NO_NODE, 0);
  if (!page) return NULL;
  return page + used++ % ENTRIES_PER_PAGE;
}

SEC("syscall")
int insert(struct count_ctx* ctx) {
  if (!table)
    table = bpf_arena_alloc_pages(&arena, NULL, BUCKETS * sizeof(entry_ptr) / PAGE_SIZE,
                                  NUMA_NO_NODE, 0);
  if (!table) return -12;
  for (__u64 key = 1; key <= ctx->count && can_loop; key++) {
    struct entry __arena* entry = new_entry();
    if (!entry) return -12;
    entry_ptr __arena* chain = bucket(key);
    entry->key = key;
    entry->value = key * 7;
    entry->next = *chain;
    *chain = entry;
  }
  return 0;
}

SEC("syscall")
int lookup(struct count_ctx* ctx) {
  __u64 found = 0, sum = 0;
  uarena_uses(arena);
  if (!table) return -2;
  for (__u64 key = 1; key <= ctx->count && can_loop; key++) {
    struct entry __arena* entry = *bucket(key);
    while (entry && entry->key != key && can_loop) entry = entry->next;
    if (!entry) continue;
    found++;
    sum += entry->value;
  }
  ctx->found = found;
  ctx->sum = sum;
  return 0;
}

TEST_LICENSE;
