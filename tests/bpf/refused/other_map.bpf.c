// A map of a kind that is not offered.
#include "uarena_bpf.h"

struct {
  __uint(type, 22);  // BPF_MAP_TYPE_QUEUE
  __uint(max_entries, 4);
  __type(value, __u32);
} queue SEC(".maps");

SEC("syscall") int program(void* ctx) {
  asm volatile("" : : "r"(&queue));
  return 0;
}
