// What many runs do to the same words at the same time: atomics of every kind on arena and map, a
// stack of nodes without locks, values under locks, a hash. The test knows what has to come of it.
#include "contexts.h"
#include "uarena_bpf_helpers.h"

TEST_ARENA(TEST_PAGES, 0);

struct node {
  struct node __arena* next;
  __u64 owner;
};

struct guarded {
  struct bpf_spin_lock lock;
  __u32 pad;
  __u64 first, second;  // equal whenever the lock is free
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct guarded);
} values SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __u64);
  __type(value, __u64);
} hash SEC(".maps");

struct node __arena* __arena_global top;
__u64 __arena_global added, fetched, compared, exchanged;
__u64 in_map;

static void push(struct node __arena* node) {
  struct node __arena* seen = top;
again:
  node->next = seen;
  struct node __arena* found = (struct node __arena*)__sync_val_compare_and_swap(
      (__u64 __arena*)&top, (__u64)seen, (__u64)node);
  if (found != seen && can_loop) {
    seen = found;
    goto again;
  }
}

SEC("syscall")
int work(struct stress_ctx* ctx) {
  __u32 zero = 0;
  __u64 turns = ctx->turns, wrong = 0;
  struct node __arena* nodes = bpf_arena_alloc_pages(&arena, NULL, 1, NUMA_NO_NODE, 0);
  if (!nodes || turns > PAGE_SIZE / sizeof(struct node)) return -12;
  for (__u64 n = 0; n < turns && can_loop; n++) {
    (void)__sync_fetch_and_add(&added, 1);
    ctx->sum += __sync_fetch_and_add(&fetched, 1);
    __u64 seen = compared;
    while (can_loop) {
      const __u64 found = __sync_val_compare_and_swap(&compared, seen, seen + 1);
      if (found == seen) break;
      seen = found;
    }
    ctx->taken += __sync_lock_test_and_set(&exchanged, ctx->id * 1000 + n);
    (void)__sync_fetch_and_add(&in_map, 1);
    nodes[n].owner = ctx->id;
    push(&nodes[n]);
    struct guarded* value = bpf_map_lookup_elem(&values, &zero);
    if (!value) return -2;
    bpf_spin_lock(&value->lock);
    wrong += value->first != value->second;
    value->first++;
    value->second++;
    bpf_spin_unlock(&value->lock);
    __u64 key = ctx->id * 16 + (n & 15);
    bpf_map_update_elem(&hash, &key, &n, BPF_ANY);
    __u64* last = bpf_map_lookup_elem(&hash, &key);
    wrong += !last || *last != n;
    if (n & 1) bpf_map_delete_elem(&hash, &key);
  }
  ctx->wrong = wrong;
  return 0;
}

// One after the others: what there is now.
SEC("syscall")
int look(struct stress_ctx* ctx) {
  __u32 zero = 0;
  struct node __arena* node = top;
  uarena_uses(arena);
  ctx->nodes = ctx->owners = 0;
  for (; node && can_loop; node = node->next) {
    ctx->nodes++;
    ctx->owners += node->owner;
  }
  struct guarded* value = bpf_map_lookup_elem(&values, &zero);
  if (!value) return -2;
  ctx->added = added;
  ctx->fetched = fetched;
  ctx->compared = compared;
  ctx->last_exchanged = exchanged;
  ctx->in_map = in_map;
  ctx->guarded = value->first;
  ctx->wrong = value->first != value->second;
  return 0;
}

TEST_LICENSE;
