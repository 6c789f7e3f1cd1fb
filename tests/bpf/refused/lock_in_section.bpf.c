// Two locks in one section of variables.
#include "uarena_bpf.h"

struct bpf_spin_lock {
  __u32 val;
};
struct bpf_spin_lock one SEC(".data.locks");
struct bpf_spin_lock two SEC(".data.locks");

SEC("syscall") int program(void* ctx) {
  asm volatile("" : : "r"(&one), "r"(&two));
  return 0;
}
