// A cast from address space 0 to 0, as clang-19 can emit it: an addr_space_cast with immediate 0.
#include "uarena_bpf.h"

SEC("syscall") int program(__u64* ctx) {
  // r1 = addr_space_cast(r1, 0, 0)
  asm volatile("r1 = %0\n .8byte 0x000111bf" : : "r"(ctx) : "r1");
  return 0;
}
