// Maps of every kind that programs can use, and values with locks and timers in them: at the top,
// nested, in an array of one, in a section of variables. It is loaded, not run.
#include "contexts.h"
#include "uarena_bpf_helpers.h"

#define BPF_MAP_TYPE_QUEUE 22

#define MAP(name, kind, entries, key_type, value_type) \
  struct {                                             \
    __uint(type, kind);                                \
    __uint(max_entries, entries);                      \
    __type(key, key_type);                             \
    __type(value, value_type);                         \
  } name SEC(".maps")

struct both {
  __u64 before;
  struct bpf_spin_lock lock;
  struct bpf_timer timer;
};
struct inner {
  __u32 x;
  struct bpf_res_spin_lock lock;
};
struct nested {
  __u64 before[2];
  struct {
    struct inner inner[1];
  } middle;
};
// Not the kernel's: a structure of that name has another size there.
struct plain {
  struct {
    __u64 x;
  } bpf_spin_lock;
};

MAP(array, BPF_MAP_TYPE_ARRAY, 3, __u32, struct both);
MAP(per_cpu, BPF_MAP_TYPE_PERCPU_ARRAY, 3, __u32, __u64);
MAP(hash, BPF_MAP_TYPE_HASH, 100, struct plain, struct nested);
MAP(lru, BPF_MAP_TYPE_LRU_HASH, 100, __u64, struct bpf_timer);
MAP(queue, BPF_MAP_TYPE_QUEUE, 100, __u32, struct both);

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 5000);  // becomes two pages
} ring SEC(".maps");

static struct bpf_spin_lock lock_a SEC(".data.A");
static __u64 guarded_a SEC(".data.A") = 7;
__u64 before_b SEC(".bss.B");
struct bpf_spin_lock lock_b SEC(".bss.B");

SEC("syscall") int program(void* ctx) {
  asm volatile(""
               :
               : "r"(&array), "r"(&per_cpu), "r"(&hash), "r"(&lru), "r"(&ring), "r"(&lock_a),
                 "r"(&guarded_a), "r"(&before_b), "r"(&lock_b));
  return 0;
}

TEST_LICENSE;
