// Helpers, kernel functions and maps beside the arena: what they return for good and bad arguments.
// Each program writes its results into the context, one after the other.
#include "contexts.h"
#include "uarena_bpf_helpers.h"

struct locked {
  __u64 before;
  struct bpf_spin_lock lock;
  __u32 after;
};

// The kernel wants constant offsets into the context.
#define UNROLLED _Pragma("clang loop unroll(full)")

TEST_ARENA(TEST_PAGES, 0);
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 4);
  __type(key, __u32);
  __type(value, __u64);
} array SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u64);
} percpu SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 3);
  __type(key, __u64);
  __type(value, __u64);
} hash SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 64);
  __type(key, __u32);
  __type(value, __u64);
} lru SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct locked);
} locks SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} ring SEC(".maps");

SEC("syscall")
int arrays(struct helpers_ctx* ctx) {
  __u32 key = 3, outside = 4;
  __u64 value = ctx->in;
  ctx->out[0] = bpf_map_update_elem(&array, &key, &value, 0);
  ctx->out[1] = bpf_map_update_elem(&array, &key, &value, 1);
  ctx->out[2] = bpf_map_update_elem(&array, &key, &value, 2);
  ctx->out[3] = bpf_map_update_elem(&array, &outside, &value, 0);
  ctx->out[4] = bpf_map_update_elem(&array, &key, &value, 3);
  ctx->out[5] = bpf_map_update_elem(&array, &key, &value, 4);
  ctx->out[6] = bpf_map_delete_elem(&array, &key);
  ctx->out[7] = bpf_map_lookup_elem(&array, &outside) != NULL;
  __u64* found = bpf_map_lookup_elem(&array, &key);
  if (found == NULL) return 1;
  ctx->out[8] = *found;
  *found += 1;
  ctx->out[9] = *found;
  return 0;
}

SEC("syscall")
int percpu_arrays(struct helpers_ctx* ctx) {
  __u32 key = 1, outside = 2;
  __u64 value = ctx->in;
  ctx->out[0] = bpf_map_update_elem(&percpu, &key, &value, 0);
  ctx->out[1] = bpf_map_update_elem(&percpu, &outside, &value, 0);
  ctx->out[2] = bpf_map_lookup_percpu_elem(&percpu, &key, 1 << 20) != NULL;
  ctx->out[3] = bpf_map_lookup_percpu_elem(&percpu, &key, 0) != NULL;
  __u64* mine = bpf_map_lookup_elem(&percpu, &key);
  if (mine == NULL) return 1;
  ctx->out[4] = *mine;
  return 0;
}

SEC("syscall")
int hashes(struct helpers_ctx* ctx) {
  __u64 value = ctx->in, key = 1;
  ctx->out[0] = bpf_map_lookup_elem(&hash, &key) != NULL;
  ctx->out[1] = bpf_map_delete_elem(&hash, &key);
  ctx->out[2] = bpf_map_update_elem(&hash, &key, &value, 2);
  ctx->out[3] = bpf_map_update_elem(&hash, &key, &value, 1);
  ctx->out[4] = bpf_map_update_elem(&hash, &key, &value, 1);
  UNROLLED for (int n = 2; n < 6; n++) {
    key = n;
    ctx->out[3 + n] = bpf_map_update_elem(&hash, &key, &value, 0);
  }
  key = 2;
  value++;
  ctx->out[9] = bpf_map_update_elem(&hash, &key, &value, 0);
  ctx->out[10] = bpf_map_update_elem(&hash, &key, &value, 9);
  __u64* found = bpf_map_lookup_elem(&hash, &key);
  if (found != NULL) ctx->out[11] = *found;
  UNROLLED for (int n = 1; n < 4; n++) {
    key = n;
    ctx->out[11 + n] = bpf_map_delete_elem(&hash, &key);
  }
  return 0;
}

SEC("syscall")
int lru_hashes(struct helpers_ctx* ctx) {
  for (__u32 n = 0; n < 1000; n++) {
    __u32 key = n;
    __u64 value = key * ctx->in;
    if (bpf_map_update_elem(&lru, &key, &value, 0) != 0) return 1;
    __u64* found = bpf_map_lookup_elem(&lru, &key);
    if (found == NULL || *found != value) return 2;
  }
  return 0;
}

static long add_index(__u64 index, struct helpers_ctx** ctx) {
  (*ctx)->out[0] += index;
  return index == (*ctx)->in;
}
static long add_element(void* map, __u32* key, __u64* value, struct helpers_ctx** ctx) {
  (*ctx)->out[5] += *key * 1000 + *value;
  return *key == 2;
}

SEC("syscall")
int loops(struct helpers_ctx* ctx) {
  struct helpers_ctx* of = ctx;
  ctx->out[0] = 0;
  ctx->out[1] = bpf_loop(100, add_index, &of, 0);
  ctx->out[2] = bpf_loop(0, add_index, &of, 0);
  ctx->out[3] = bpf_loop(1, add_index, &of, 1);
  ctx->out[4] = bpf_loop((8 << 20) + 1, add_index, &of, 0);
  UNROLLED for (__u32 n = 0; n < 4; n++) {
    __u32 key = n;
    __u64 value = n + 7;
    bpf_map_update_elem(&array, &key, &value, 0);
  }
  ctx->out[5] = 0;
  ctx->out[6] = bpf_for_each_map_elem(&array, add_element, &of, 0);
  ctx->out[7] = bpf_for_each_map_elem(&array, add_element, &of, 1);
  return 0;
}

SEC("syscall")
int iterators(struct helpers_ctx* ctx) {
  const int ranges[][2] = {{0, 10}, {-3, 3}, {5, 5}, {7, 3}, {0, (8 << 20) + 1}};
  UNROLLED for (int n = 0; n < 5; n++) {
    struct bpf_iter_num it;
    __u64 sum = 0;
    int* i;
    ctx->out[2 * n] = bpf_iter_num_new(&it, ranges[n][0], ranges[n][1]);
    while ((i = bpf_iter_num_next(&it)) != NULL) sum += *i + 100;
    bpf_iter_num_destroy(&it);
    ctx->out[2 * n + 1] = sum;
  }
  return 0;
}

#define PRINT(at, format, ...)                                           \
  ({                                                                     \
    static const char text[] = format;                                   \
    __u64 data[] = {__VA_ARGS__};                                        \
    char to[24] = {};                                                    \
    ctx->out[at] = bpf_snprintf(to, sizeof to, text, data, sizeof data); \
    __builtin_memcpy(&ctx->out[at + 1], to, sizeof to);                  \
  })

SEC("syscall")
int texts(struct helpers_ctx* ctx) {
  PRINT(0, "%d %u %x", -5, -5, 0xabc);
  PRINT(4, "%lx|%lli", 1ULL << 40, -(1LL << 40));
  PRINT(8, "[%5d][%-5d][%05d]", 42, 42, -42);
  PRINT(12, "%+d % d %X %c %%", 1, 1, 0xbeef, 'q');
  return 0;
}

SEC("syscall")
int strings(struct helpers_ctx* ctx) {
  static const char needle[] = "needle";
  char own[8] = "needles";
  __u64 copy[2] = {7, 7};
  ctx->out[0] = bpf_strncmp(own, 6, needle);
  ctx->out[1] = bpf_strncmp(own, 8, needle) > 0;
  own[0] = 'a';
  ctx->out[2] = bpf_strncmp(own, 8, needle) < 0;
  ctx->out[3] = bpf_probe_read_kernel(copy, 8, (void*)8) < 0;
  ctx->out[4] = copy[0];
  ctx->out[5] = bpf_probe_read_kernel_str(copy, 16, (void*)8) < 0;
  return 0;
}

SEC("syscall")
int own_pointers(struct helpers_ctx* ctx) {
  __u32 key = 1;
  __u64 value = 0x676e69727473 + (ctx->in << 56);  // "string"
  char name[16] = "of the stack";
  bpf_map_update_elem(&array, &key, &value, 0);
  __u64* found = bpf_map_lookup_elem(&array, &key);
  if (found == NULL) return 1;
  PRINT(0, "%s %s", (__u64)found, (__u64)name);
  PRINT(4, "<%-8s|%c>", (__u64)(name + 7), 'c');
  ctx->out[8] = bpf_probe_read_kernel(&value, 8, found);
  ctx->out[9] = value;
  ctx->out[10] = bpf_probe_read_kernel_str(&value, 8, name + 3);
  ctx->out[11] = value;
  ctx->out[12] = bpf_probe_read_kernel(&value, 4, &ctx->in);
  ctx->out[13] = value;
  return 0;
}

SEC("syscall")
int spin_locks(struct helpers_ctx* ctx) {
  __u32 key = 0;
  struct locked next = {ctx->in, {}, 3};
  struct locked* found = bpf_map_lookup_elem(&locks, &key);
  if (found == NULL) return 1;
  bpf_spin_lock(&found->lock);
  found->before += 1;
  bpf_spin_unlock(&found->lock);
  ctx->out[0] = found->before;
  ctx->out[1] = bpf_map_update_elem(&locks, &key, &next, 4);
  ctx->out[2] = bpf_map_update_elem(&locks, &key, &next, 5);
  ctx->out[3] = found->before;
  ctx->out[4] = found->after;
  return 0;
}

SEC("syscall")
int sections(struct helpers_ctx* ctx) {
  unsigned long flags;
  bpf_rcu_read_lock();
  bpf_preempt_disable();
  bpf_local_irq_save(&flags);
  ctx->out[0] = bpf_ktime_get_ns() != 0;
  bpf_local_irq_restore(&flags);
  bpf_preempt_enable();
  bpf_rcu_read_unlock();
  ctx->out[1] = bpf_get_smp_processor_id() < 4096;
  return 0;
}

SEC("syscall")
int ring_buffers(struct helpers_ctx* ctx) {
  __u64 data[2] = {1, 2};
  ctx->out[0] = bpf_ringbuf_query(&ring, 1);
  ctx->out[1] = bpf_ringbuf_output(&ring, data, 16, 0);
  ctx->out[2] = bpf_ringbuf_output(&ring, data, 16, 4);
  ctx->out[3] = bpf_ringbuf_query(&ring, 0);
  __u64* record = bpf_ringbuf_reserve(&ring, 12, 0);
  if (record != NULL) {
    record[0] = ctx->in;
    bpf_ringbuf_submit(record, 0);
  }
  record = bpf_ringbuf_reserve(&ring, 100, 0);
  if (record != NULL) bpf_ringbuf_discard(record, 0);
  ctx->out[4] = bpf_ringbuf_query(&ring, 3);
  ctx->out[5] = bpf_ringbuf_query(&ring, 2);
  ctx->out[6] = bpf_ringbuf_query(&ring, 77);
  record = bpf_ringbuf_reserve(&ring, 4089, 0);
  ctx->out[7] = record != NULL;
  if (record != NULL) bpf_ringbuf_discard(record, 0);
  for (int n = 0; n < 400; n++) ctx->out[8] = bpf_ringbuf_output(&ring, data, 8, 0);
  ctx->out[9] = bpf_ringbuf_query(&ring, 0);
  return 0;
}

TEST_LICENSE;
