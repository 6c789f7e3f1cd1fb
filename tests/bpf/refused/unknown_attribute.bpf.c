// A map attribute that would be silently lost.
#include "uarena_bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(pinning, 1);
} map SEC(".maps");

SEC("syscall") int program(void* ctx) { return 0; }
