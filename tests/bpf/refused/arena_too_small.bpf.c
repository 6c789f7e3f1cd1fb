// Arena variables that do not fit into the arena (K79).
#include "uarena_bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARENA);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
} arena SEC(".maps");

__u64 __arena_global words[1024];

SEC("syscall") int program(__u64* ctx) {
  *ctx = words[5];
  return 0;
}
