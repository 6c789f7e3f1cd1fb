// A map of a type that is not offered.
#include "uarena_bpf.h"

struct {
  __uint(type, 22);  // queue
  __uint(max_entries, 4);
  __type(value, __u64);
} counters SEC(".maps");

SEC("syscall")
int program(void* ctx) {
  asm volatile("" : : "r"(&counters));
  return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
