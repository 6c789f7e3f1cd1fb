// What users keep in an arena: a hash table with chains, a red-black tree, and a cache that throws
// out what has not been used for longest. They load into the live kernel, too.
#include "contexts.h"
#include "uarena_bpf_helpers.h"

TEST_ARENA(TEST_PAGES, 0);

// Counters that begin with what is in memory: the kernel would walk all turns of those that begin
// with a constant, since it knows their values.
static volatile __u64 zero;

static __u64 next_random(__u64* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

// Memory in pieces of one size, out of pages that are kept; pieces that are given back come first.
// It holds a piece of a hash table or of a tree.
#define PIECE 64
struct piece {
  struct piece __arena* next;
};
static struct piece __arena* free_pieces;
static char __arena* fresh;
static __u32 fresh_left;

static void __arena* take_piece(void) {
  struct piece __arena* piece = free_pieces;
  if (piece) {
    free_pieces = piece->next;
    return piece;
  }
  if (fresh_left == 0) {
    fresh = bpf_arena_alloc_pages(&arena, NULL, 1, NUMA_NO_NODE, 0);
    if (!fresh) return NULL;
    fresh_left = PAGE_SIZE / PIECE;
  }
  fresh_left--;
  return fresh + fresh_left * PIECE;
}

static void give_piece(void __arena* memory) {
  struct piece __arena* piece = memory;
  piece->next = free_pieces;
  free_pieces = piece;
}

// A hash table with chains.
#define BUCKETS 128
struct entry {
  struct entry __arena* next;
  __u64 key;
  __u64 value;
};
struct entry __arena* __arena_global buckets[BUCKETS];

static struct entry __arena* __arena* bucket_of(__u64 key) {
  return &buckets[key * 0x9e3779b97f4a7c15 >> 57];
}

static struct entry __arena* find_entry(__u64 key) {
  struct entry __arena* entry = *bucket_of(key);
  while (entry && entry->key != key && can_loop) entry = entry->next;
  return entry;
}

static int put_entry(__u64 key, __u64 value) {
  struct entry __arena* __arena* bucket = bucket_of(key);
  struct entry __arena* entry = find_entry(key);
  if (!entry) {
    entry = take_piece();
    if (!entry) return -1;
    entry->key = key;
    entry->next = *bucket;
    *bucket = entry;
  }
  entry->value = value;
  return 0;
}

static int drop_entry(__u64 key) {
  struct entry __arena* __arena* link = bucket_of(key);
  while (*link && (*link)->key != key && can_loop) link = &(*link)->next;
  struct entry __arena* entry = *link;
  if (!entry) return 0;
  *link = entry->next;
  give_piece(entry);
  return 1;
}

// Puts the keys 0..count-1, some of them twice, drops every third one, and looks for all.
SEC("syscall")
int chained_hash(struct count_ctx* ctx) {
  __u64 count = ctx->count, dropped = zero;
  for (__u64 key = zero; key < count && can_loop; key++)
    if (put_entry(key, key * 3) != 0) return -1;
  for (__u64 key = zero; key < count && can_loop; key += 2)
    if (put_entry(key, key * 5) != 0) return -1;
  for (__u64 key = zero; key < count + 3 && can_loop; key += 3) dropped += drop_entry(key);
  if (dropped != (count + 2) / 3) return -2;
  ctx->found = 0;
  ctx->sum = 0;
  for (__u64 key = zero; key < 2 * count && can_loop; key++) {
    struct entry __arena* entry = find_entry(key);
    if (!entry) continue;
    ctx->found++;
    ctx->sum += entry->value;
  }
  for (__u64 key = zero; key < count && can_loop; key++) drop_entry(key);
  return 0;
}

// A red-black tree.
struct node {
  struct node __arena* parent;
  struct node __arena* child[2];
  __u64 key;
  __u64 red;
};
struct node __arena* __arena_global root;

static int is_red(struct node __arena* node) { return node && node->red; }

// Turns `node` down to the side `down`; the child of the other side comes up in its place.
static void rotate(struct node __arena* node, __u32 down) {
  struct node __arena* up = node->child[!down];
  struct node __arena* parent = node->parent;
  struct node __arena* inner = up->child[down];
  node->child[!down] = inner;
  if (inner) inner->parent = node;
  up->child[down] = node;
  node->parent = up;
  up->parent = parent;
  if (!parent)
    root = up;
  else
    parent->child[parent->child[1] == node] = up;
}

// Two red nodes are one above the other: colours go up, or a rotation or two end it.
static void rebalance(struct node __arena* node) {
  while (is_red(node->parent) && can_loop) {
    struct node __arena* parent = node->parent;
    struct node __arena* grandparent = parent->parent;
    const __u32 side = grandparent->child[1] == parent;
    struct node __arena* uncle = grandparent->child[!side];
    if (is_red(uncle)) {
      parent->red = 0;
      uncle->red = 0;
      grandparent->red = 1;
      node = grandparent;
      continue;
    }
    if (parent->child[!side] == node) {
      rotate(parent, side);
      parent = node;
    }
    parent->red = 0;
    grandparent->red = 1;
    rotate(grandparent, !side);
    break;
  }
  root->red = 0;
}

// 1: it is new.
static int put_node(__u64 key) {
  struct node __arena* parent = NULL;
  struct node __arena* at = root;
  while (at && can_loop) {
    if (at->key == key) return 0;
    parent = at;
    at = at->child[key > at->key];
  }
  struct node __arena* node = take_piece();
  if (!node) return -1;
  node->parent = parent;
  node->child[0] = NULL;
  // clang 19 makes a memset of two zeros in a row, and forgets to cast its address.
  asm volatile("" : : : "memory");
  node->child[1] = NULL;
  node->key = key;
  node->red = 1;
  if (!parent)
    root = node;
  else
    parent->child[key > parent->key] = node;
  rebalance(node);
  return 1;
}

static struct node __arena* leftmost(struct node __arena* node) {
  while (node->child[0] && can_loop) node = node->child[0];
  return node;
}

static struct node __arena* after(struct node __arena* node) {
  if (node->child[1]) return leftmost(node->child[1]);
  while (node->parent && node->parent->child[1] == node && can_loop) node = node->parent;
  return node->parent;
}

// The black nodes from here to the root, or -1 where two red ones meet.
static int blacks_above(struct node __arena* node) {
  int blacks = zero;
  for (; node && can_loop; node = node->parent) {
    if (node->red && is_red(node->parent)) return -1;
    blacks += !node->red;
  }
  return blacks;
}

// Puts `count` numbers, walks over them in order, holds the tree against its rules and takes it
// down. found: the numbers; sum: each number times its place.
SEC("syscall")
int red_black_tree(struct count_ctx* ctx) {
  __u64 state = ctx->count + 1, place = zero, last = zero, sum = zero, added = zero;
  int blacks = zero;
  root = NULL;
  for (__u64 n = zero; n < ctx->count && can_loop; n++) {
    const int made = put_node((next_random(&state) & 0xffff) + 1);
    if (made < 0) return -1;
    added += made;
  }
  if (is_red(root)) return -2;
  struct node __arena* node = root ? leftmost(root) : NULL;
  while (node && can_loop) {
    if (node->key <= last) return -3;
    last = node->key;
    sum += last * ++place;
    if (!node->child[0] || !node->child[1]) {
      const int here = blacks_above(node);
      if (here < 0 || (blacks != 0 && here != blacks)) return -4;
      blacks = here;
    }
    node = after(node);
  }
  if (place != added) return -5;
  for (node = root; node && can_loop;) {
    struct node __arena* child = node->child[0] ? node->child[0] : node->child[1];
    if (child) {
      node = child;
      continue;
    }
    struct node __arena* parent = node->parent;
    if (parent) parent->child[parent->child[1] == node] = NULL;
    give_piece(node);
    node = parent;
  }
  ctx->found = added;
  ctx->sum = sum;
  return 0;
}

// A cache of a few slots in a list, the latest used one first. Slots are numbers, and bpf_for
// walks.
#define SLOTS 16
struct slot {
  __u64 key;
  __u32 older, newer;
};
static struct slot slots[SLOTS];
static __u32 newest, oldest;

#define SLOT(n)                      \
  ({                                 \
    __u32 number = (n);              \
    asm volatile("" : "+r"(number)); \
    &slots[number & (SLOTS - 1)];    \
  })

static void to_the_front(__u32 n) {
  if (n == newest) return;
  struct slot* slot = SLOT(n);
  SLOT(slot->newer)->older = slot->older;
  if (n == oldest)
    oldest = slot->newer;
  else
    SLOT(slot->older)->newer = slot->newer;
  slot->older = newest;
  SLOT(newest)->newer = n;
  newest = n;
}

// 1: the key was there.
static int use_key(__u64 key) {
  __u32 at = newest;
  int turn;
  bpf_for(turn, 0, SLOTS) {
    if (SLOT(at)->key == key) {
      to_the_front(at);
      return 1;
    }
    at = SLOT(at)->older;
  }
  SLOT(oldest)->key = key;
  to_the_front(oldest);
  return 0;
}

// Uses `count` keys of 32 at random. found: how many were there; sum: what is kept at the end, from
// the latest to the oldest.
SEC("syscall")
int lru_cache(struct count_ctx* ctx) {
  __u64 state = ctx->count + 7, hits = 0, sum = 0;
  int n;
  bpf_for(n, 0, SLOTS) {
    struct slot* slot = SLOT(n);
    slot->key = 0;
    slot->newer = n - 1;
    slot->older = n + 1;
  }
  newest = 0;
  oldest = SLOTS - 1;
  bpf_for(n, 0, ctx->count) hits += use_key((next_random(&state) >> 20 & 31) + 1);
  __u32 at = newest;
  bpf_for(n, 0, SLOTS) {
    sum = sum * 31 + SLOT(at)->key;
    at = SLOT(at)->older;
  }
  ctx->found = hits;
  ctx->sum = sum;
  return 0;
}

TEST_LICENSE;
