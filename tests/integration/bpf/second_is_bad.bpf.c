// Two programs, of which the second follows a number as if it were a pointer, because __arena was
// forgotten: the object as a whole is refused, and its arena is not made.
#include "uarena_bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARENA);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 16);
} never_made SEC(".maps");

__u64 __arena_global word = 1;

SEC("syscall")
int good(void* ctx) {
  word++;
  return 0;
}

SEC("syscall")
int bad(__u64* ctx) {
  return *(__u32*)*ctx;  // the line that the message names
}

char _license[] SEC("license") = "Dual MIT/GPL";
