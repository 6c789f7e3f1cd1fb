// A value with two locks, one of them nested.
#include "uarena_bpf.h"

struct bpf_spin_lock {
  __u32 val;
};
struct inner {
  struct bpf_spin_lock lock;
};
struct value {
  struct inner inner;
  struct bpf_spin_lock lock;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct value);
} map SEC(".maps");

SEC("syscall") int program(void* ctx) { return 0; }
