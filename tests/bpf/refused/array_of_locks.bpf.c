// A value with an array of structures that hold a lock.
#include "uarena_bpf.h"

struct bpf_spin_lock {
  __u32 val;
};
struct locked {
  __u32 x;
  struct bpf_spin_lock lock;
};
struct value {
  struct locked all[2][3];
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct value);
} map SEC(".maps");

SEC("syscall") int program(void* ctx) { return 0; }
