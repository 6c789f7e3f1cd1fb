// The smallest program: one page from the arena.
#include <uarena_bpf.h>

struct {
  __uint(type, BPF_MAP_TYPE_ARENA);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 16);
} arena SEC(".maps");

SEC("syscall")
int page(void* ctx) { return bpf_arena_alloc_pages(&arena, NULL, 1, NUMA_NO_NODE, 0) != NULL; }
