// More than one arena (K66).
#include "uarena_bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARENA);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
} one SEC(".maps"), two SEC(".maps");

SEC("syscall") int program(void* ctx) { return 0; }
