// A lock in a value of which each CPU has its own.
#include "uarena_bpf.h"

struct bpf_spin_lock {
  __u32 val;
};
struct value {
  struct bpf_spin_lock lock;
};

struct {
  __uint(type, 6);  // BPF_MAP_TYPE_PERCPU_ARRAY
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct value);
} map SEC(".maps");

SEC("syscall") int program(void* ctx) { return 0; }
