// A map that gives its value two sizes.
#include "uarena_bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(value, __u64);
  __uint(value_size, 4);
} map SEC(".maps");

SEC("syscall") int program(void* ctx) { return 0; }
