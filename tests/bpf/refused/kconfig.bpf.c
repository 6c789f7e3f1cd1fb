// A value of the kernel's configuration.
#include "uarena_bpf.h"

extern unsigned long CONFIG_HZ __attribute__((section(".kconfig")));

SEC("syscall") int program(__u64* ctx) {
  *ctx = CONFIG_HZ;
  return 0;
}
