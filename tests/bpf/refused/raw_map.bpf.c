// A map by file descriptor instead of by name: ld_imm64 with source register 1.
#include "uarena_bpf.h"

SEC("syscall") int program(void* ctx) {
  asm volatile(".8byte 0x0000000500001118\n .8byte 0" : : : "r1");
  return 0;
}
