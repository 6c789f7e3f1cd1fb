// Callbacks of timers that take long or for ever; the requests are those of timers.bpf.c.
#include "contexts.h"
#include "uarena_bpf_helpers.h"

struct timed {
  __u64 fired;
  struct bpf_timer timer;
};
struct {
  __uint(type, 2);  // array
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, struct timed);
} array SEC(".maps");

static int for_ever(void* map, __u32* key, struct timed* value) {
  value->fired += 1;
  for (volatile __u64 turns = 1; turns != 0; turns++) continue;
  return 0;
}

static int long_enough_to_be_seen(void* map, __u32* key, struct timed* value) {
  value->fired += 1;
  for (volatile __u64 turns = 0; turns < 100000000; turns++) continue;
  value->fired += 1;
  return 0;
}

static long operate(struct timed* value, struct timer_ctx* ctx) {
  switch (ctx->operation) {
    case TIMER_INIT:
      return bpf_timer_init(&value->timer, &array, ctx->a);
    case TIMER_SET_CALLBACK:
      if (ctx->a == 0) return bpf_timer_set_callback(&value->timer, for_ever);
      return bpf_timer_set_callback(&value->timer, long_enough_to_be_seen);
    case TIMER_START:
      return bpf_timer_start(&value->timer, ctx->a, ctx->b);
    case TIMER_CANCEL:
      return bpf_timer_cancel(&value->timer);
    default:
      break;
  }
  ctx->fired = value->fired;
  return 0;
}

SEC("syscall")
int on_array(struct timer_ctx* ctx) {
  __u32 key = ctx->key;
  struct timed* value = bpf_map_lookup_elem(&array, &key);
  if (value == NULL) return 1;
  ctx->result = operate(value, ctx);
  return 0;
}

TEST_LICENSE;
