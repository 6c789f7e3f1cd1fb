// SPDX-License-Identifier: MIT
// A chained hash table: 50,000 keys inserted, looked up, and as many looked up that are not there.
// Cache misses and a multiplication, with a call per operation as ordinary code has it.
#include "work.h"

#define KEYS 50000u
#define BUCKETS 65536u

WORK_ARENA(1024);

struct entry {
  struct entry __arena* next;
  __u64 key, value;
};
typedef struct entry __arena* entry_ptr;

static entry_ptr __arena* table;
static struct entry __arena* pool;

WORK(prepare) {
  if (!table) table = work_pages(BUCKETS * sizeof(entry_ptr) / PAGE_SIZE);
  if (!pool) pool = work_pages(KEYS * sizeof(struct entry) / PAGE_SIZE + 1);
  return table && pool ? 0 : -12;
}

static entry_ptr __arena* bucket(__u64 key) {
  return &table[(key * 0x9e3779b97f4a7c15ull >> 40) & (BUCKETS - 1)];
}

static __noinline __u64 lookup(__u64 key) {
  struct entry __arena* entry = *bucket(key);
  WORK_USES_ARENA;
  for (; entry && can_loop; entry = entry->next)
    if (entry->key == key) return entry->value;
  return 0;
}

WORK(run) {
  __u64 sum = 0;
  WORK_USES_ARENA;
  for (__u64 round = work_zero(); round < ctx->rounds && can_loop; round++) {
    for (__u64 n = work_zero(); n < BUCKETS && can_loop; n++) table[n] = NULL;
    for (__u64 n = work_zero(); n < KEYS && can_loop; n++) {
      struct entry __arena* entry = &pool[n];
      entry_ptr __arena* chain = bucket(n * 3);
      entry->key = n * 3;
      entry->value = n;
      entry->next = *chain;
      *chain = entry;
    }
    for (__u64 n = work_zero(); n < KEYS && can_loop; n++) sum += lookup(n * 3);
    for (__u64 n = work_zero(); n < KEYS && can_loop; n++) sum += lookup(n * 3 + 1);
  }
  ctx->result = sum;
  return 0;
}
