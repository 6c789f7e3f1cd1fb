// Timers in the values of an array and of a hash: each operation is a request in the context, so
// that a test can make any order of them. What the callbacks see is counted in the value.
#include "contexts.h"
#include "uarena_bpf_helpers.h"

struct timed {
  __u64 fired;
  __u64 key;
  __s64 result;
  struct bpf_timer timer;
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 3);
  __type(key, __u32);
  __type(value, struct timed);
} array SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 3);
  __type(key, __u32);
  __type(value, struct timed);
} hash SEC(".maps");

static int count(void* map, __u32* key, struct timed* value) {
  value->key = *key + 1;
  value->fired += 1;
  return 0;
}

// Three times in all.
static int repeat(void* map, __u32* key, struct timed* value) {
  if (value->fired < 2) value->result = bpf_timer_start(&value->timer, 100000, 0);
  value->fired += 1;
  return 0;
}

static int cancel_itself(void* map, __u32* key, struct timed* value) {
  value->result = bpf_timer_cancel(&value->timer);
  value->fired += 1;
  return 0;
}

static long operate(void* map, struct timed* value, struct timer_ctx* ctx) {
  switch (ctx->operation) {
    case TIMER_SET_CALLBACK:
      if (ctx->a == 0) return bpf_timer_set_callback(&value->timer, count);
      if (ctx->a == 1) return bpf_timer_set_callback(&value->timer, repeat);
      return bpf_timer_set_callback(&value->timer, cancel_itself);
    case TIMER_START:
      return bpf_timer_start(&value->timer, ctx->a, ctx->b);
    case TIMER_CANCEL:
      return bpf_timer_cancel(&value->timer);
    default:
      break;
  }
  ctx->fired = value->fired;
  ctx->key_seen = value->key;
  ctx->callback_result = value->result;
  return 0;
}

#define ON(map)                                                                            \
  __u32 key = ctx->key;                                                                    \
  struct timed next = {};                                                                  \
  if (ctx->operation == TIMER_UPDATE) {                                                    \
    ctx->result = bpf_map_update_elem(&map, &key, &next, 0);                               \
    return 0;                                                                              \
  }                                                                                        \
  if (ctx->operation == TIMER_DELETE) {                                                    \
    ctx->result = bpf_map_delete_elem(&map, &key);                                         \
    return 0;                                                                              \
  }                                                                                        \
  struct timed* value = bpf_map_lookup_elem(&map, &key);                                   \
  if (value == NULL) return 1;                                                             \
  ctx->result = ctx->operation == TIMER_INIT ? bpf_timer_init(&value->timer, &map, ctx->a) \
                                             : operate(&map, value, ctx);                  \
  return 0

SEC("syscall")
int on_array(struct timer_ctx* ctx) { ON(array); }

SEC("syscall")
int on_hash(struct timer_ctx* ctx) { ON(hash); }

TEST_LICENSE;
