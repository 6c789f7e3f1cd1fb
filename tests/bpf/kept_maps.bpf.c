// Maps of every kind with contents that a successor of the broker takes over.
#include "contexts.h"
#include "uarena_bpf_helpers.h"

struct timed {
  __u64 fired;
  struct bpf_timer timer;
};

#define MAP(name, kind, value_type) \
  struct {                          \
    __uint(type, kind);             \
    __uint(max_entries, 8);         \
    __type(key, __u32);             \
    __type(value, value_type);      \
  } name SEC(".maps")

MAP(array, 2, __u64);
MAP(hash, 1, __u64);
MAP(lru, 9, __u64);
MAP(timers, 2, struct timed);
struct {
  __uint(type, 27);  // ring buffer
  __uint(max_entries, 4096);
} ring SEC(".maps");

static int count(void* map, __u32* key, struct timed* value) {
  value->fired += 1;
  return 0;
}

// Something in each; out[0]: 0 where all went well.
SEC("syscall")
int fill(struct helpers_ctx* ctx) {
  __u32 key = 1, gone = 2;
  __u64 value = ctx->in;
  struct timed* timed = bpf_map_lookup_elem(&timers, &key);
  if (timed == NULL) return 1;
  ctx->out[0] =
      bpf_map_update_elem(&array, &key, &value, 0) | bpf_map_update_elem(&hash, &key, &value, 0) |
      bpf_map_update_elem(&hash, &gone, &value, 0) | bpf_map_delete_elem(&hash, &gone) |
      bpf_map_update_elem(&lru, &key, &value, 0) |
      bpf_ringbuf_output(&ring, &value, sizeof value, 0) |
      bpf_timer_init(&timed->timer, &timers, 1) | bpf_timer_set_callback(&timed->timer, count) |
      bpf_timer_start(&timed->timer, 3600000000000, 0);
  return 0;
}

static __u64 found_in(void* map, __u32 key) {
  __u64* value = bpf_map_lookup_elem(map, &key);
  return value == NULL ? 0 : *value;
}

SEC("syscall")
int look(struct helpers_ctx* ctx) {
  __u32 key = 1;
  struct timed* timed = bpf_map_lookup_elem(&timers, &key);
  if (timed == NULL) return 1;
  ctx->out[0] = found_in(&array, 1);
  ctx->out[1] = found_in(&hash, 1);
  ctx->out[2] = found_in(&hash, 2);
  ctx->out[3] = found_in(&lru, 1);
  ctx->out[4] = bpf_ringbuf_query(&ring, 0);
  ctx->out[5] = bpf_timer_start(&timed->timer, 1, 0);
  return 0;
}

TEST_LICENSE;
