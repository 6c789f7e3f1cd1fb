// A value with one lock of each kind.
#include "uarena_bpf.h"

struct bpf_spin_lock {
  __u32 val;
};
struct bpf_res_spin_lock {
  __u32 val;
};
struct value {
  struct bpf_spin_lock a;
  struct bpf_res_spin_lock b;
};

struct {
  __uint(type, 1);  // BPF_MAP_TYPE_HASH
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct value);
} map SEC(".maps");

SEC("syscall") int program(void* ctx) { return 0; }
