// A yes or no of the kernel's configuration, as a number.
#include "uarena_bpf.h"

extern unsigned long CONFIG_SMP __attribute__((section(".kconfig")));

SEC("syscall") int program(__u64* ctx) {
  *ctx = CONFIG_SMP;
  return 0;
}
