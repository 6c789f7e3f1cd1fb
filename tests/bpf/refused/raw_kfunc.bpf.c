// A kernel function by number instead of by name.
#include "uarena_bpf.h"

SEC("syscall") int program(void* ctx) {
  asm volatile(".8byte 0x0001234500002085" : : : "r0", "r1", "r2", "r3", "r4", "r5");
  return 0;
}
