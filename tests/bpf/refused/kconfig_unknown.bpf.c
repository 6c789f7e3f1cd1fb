// A value of the kernel's configuration that nobody knows.
#include "uarena_bpf.h"

extern unsigned long CONFIG_OF_ANOTHER_WORLD __attribute__((section(".kconfig")));

SEC("syscall") int program(__u64* ctx) {
  *ctx = CONFIG_OF_ANOTHER_WORLD;
  return 0;
}
