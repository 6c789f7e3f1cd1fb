// What users write: a heap, a sort, a search, a tokenizer, a bitmap allocator, a ring of records.
// Indices are kept in bounds by masks that the compiler can't take away, as programmers do it where
// a comparison is not enough for the verifier. The counters begin at constants, so the kernel walks
// all programs but bits pass by pass and gives up; here they are accepted.
#include "contexts.h"

TEST_ARENA(TEST_PAGES, 0);

#define SLOTS 64
#define TEXT 256

static __u64 heap[SLOTS];
static char text[TEXT];
static __u64 bitmap[SLOTS / 8];

struct record {
  __u32 kind;
  __u32 length;
  __u64 value;
};
static struct record ring[SLOTS];
struct record __arena_global kept[SLOTS];

#define WITHIN(size, i)             \
  ({                                \
    __u32 index = (i);              \
    asm volatile("" : "+r"(index)); \
    index&((size) - 1);             \
  })

static __u64 next_random(__u64* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static void fill_text(__u64 seed) {
  static const char letters[32] = "{\"ab\":[1,20,true],\"c\":{}} {[]} ";
  for (__u32 i = 0; i < TEXT && can_loop; i++)
    text[WITHIN(TEXT, i)] = letters[WITHIN(32, seed + i)];
}

static void swap(__u32 a, __u32 b) {
  const __u64 other = heap[WITHIN(SLOTS, a)];
  heap[WITHIN(SLOTS, a)] = heap[WITHIN(SLOTS, b)];
  heap[WITHIN(SLOTS, b)] = other;
}

static __u32 lesser(__u32 a, __u32 b, __u32 used) {
  return b < used && heap[WITHIN(SLOTS, b)] < heap[WITHIN(SLOTS, a)] ? b : a;
}

// A binary heap: pushes `count` numbers, pops them in order.
SEC("syscall")
int heap_sort(struct count_ctx* ctx) {
  __u64 state = ctx->count + 1, last = 0, popped = 0;
  __u32 used = 0;
  for (__u64 n = 0; n < ctx->count && used < SLOTS && can_loop; n++) {
    __u32 at = used++;
    heap[WITHIN(SLOTS, at)] = next_random(&state) >> 40;
    while (at > 0 && can_loop) {
      const __u32 parent = (at - 1) / 2;
      if (heap[WITHIN(SLOTS, parent)] <= heap[WITHIN(SLOTS, at)]) break;
      swap(parent, at);
      at = parent;
    }
  }
  while (used > 0 && can_loop) {
    if (heap[0] < last) return -1;
    last = heap[0];
    popped++;
    swap(0, --used);
    for (__u32 at = 0; at < used && can_loop;) {
      const __u32 least = lesser(lesser(at, 2 * at + 1, used), 2 * at + 2, used);
      if (least == at) break;
      swap(least, at);
      at = least;
    }
  }
  ctx->found = popped;
  ctx->sum = last;
  return 0;
}

// Insertion sort of numbers on the stack.
SEC("syscall")
int stack_sort(struct count_ctx* ctx) {
  __u32 numbers[16];
  __u64 state = ctx->count + 3;
  for (__u32 i = 0; i < 16; i++) numbers[i] = next_random(&state) & 0xffff;
  for (__u32 i = 1; i < 16 && can_loop; i++) {
    const __u32 value = numbers[WITHIN(16, i)];
    __u32 at = i;
    while (at > 0 && numbers[WITHIN(16, at - 1)] > value && can_loop) {
      numbers[WITHIN(16, at)] = numbers[WITHIN(16, at - 1)];
      at--;
    }
    numbers[WITHIN(16, at)] = value;
  }
  for (__u32 i = 1; i < 16; i++)
    if (numbers[i - 1] > numbers[i]) return -1;
  ctx->found = numbers[0];
  ctx->sum = numbers[15];
  return 0;
}

// How often a word is in the text.
SEC("syscall")
int search(struct count_ctx* ctx) {
  static const char word[4] = {'t', 'r', 'u', 'e'};
  __u64 found = 0;
  fill_text(ctx->count);
  for (__u32 at = 0; at + sizeof(word) <= TEXT && can_loop; at++) {
    __u32 n = 0;
    while (n < sizeof(word) && text[WITHIN(TEXT, at + n)] == word[WITHIN(4, n)] && can_loop) n++;
    found += n == sizeof(word);
  }
  ctx->found = found;
  return 0;
}

// Tokens of a JSON text, and how deep its brackets go.
SEC("syscall")
int tokenize(struct count_ctx* ctx) {
  __u64 tokens = 0;
  char open[16] = {};
  __u32 depth = 0, deepest = 0;
  fill_text(ctx->count);
  for (__u32 at = 0; at < TEXT && can_loop; at++) {
    const char c = text[WITHIN(TEXT, at)];
    if (c == '{' || c == '[') {
      if (depth >= sizeof(open)) break;
      open[WITHIN(16, depth++)] = c;
      if (depth > deepest) deepest = depth;
      tokens++;
    } else if (c == '}' || c == ']') {
      const char other = c == '}' ? '{' : '[';
      if (depth > 0 && open[WITHIN(16, depth - 1)] == other) depth--;
      tokens++;
    } else if (c == '"') {
      for (at++; at < TEXT && text[WITHIN(TEXT, at)] != '"' && can_loop;) at++;
      tokens++;
    }
  }
  ctx->found = tokens;
  ctx->sum = deepest;
  return 0;
}

// Takes and gives back bits of a bitmap.
SEC("syscall")
int bits(struct count_ctx* ctx) {
  __u64 state = ctx->count + 5, taken = 0, given = 0;
  for (__u32 w = 0; w < SLOTS / 8; w++) bitmap[w] = 0;
  for (__u64 n = 0; n < ctx->count && can_loop; n++) {
    const __u32 bit = next_random(&state);
    const __u64 mask = 1ull << (bit & 63);
    __u64* word = &bitmap[WITHIN(SLOTS / 8, bit >> 6)];
    if (*word & mask)
      given++;
    else
      taken++;
    *word ^= mask;
  }
  ctx->found = taken;
  ctx->sum = given;
  return 0;
}

// A ring of records that is drained into the arena.
SEC("syscall")
int records(struct count_ctx* ctx) {
  __u32 head = 0, tail = 0;
  __u64 drained = 0, sum = 0;
  for (__u64 n = 0; n < ctx->count && can_loop; n++) {
    struct record* r = &ring[WITHIN(SLOTS, head++)];
    r->kind = n & 3;
    r->length = sizeof(*r);
    r->value = n * n;
    if (head - tail < SLOTS / 2) continue;
    while (tail != head && can_loop) {
      const struct record* from = &ring[WITHIN(SLOTS, tail)];
      struct record __arena* to = &kept[WITHIN(SLOTS, tail)];
      tail++;
      to->kind = from->kind;
      to->value = from->value;
      drained++;
      sum += to->value;
    }
  }
  ctx->found = drained;
  ctx->sum = sum;
  return 0;
}

TEST_LICENSE;
