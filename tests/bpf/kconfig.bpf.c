// Values of the kernel's configuration, in all the types that they can have.
#include "contexts.h"

enum libbpf_tristate { TRI_NO, TRI_MODULE, TRI_YES };

extern unsigned long CONFIG_HZ __kconfig;
extern int LINUX_KERNEL_VERSION __kconfig;
extern unsigned short CONFIG_NR_CPUS __kconfig;
extern _Bool CONFIG_X86_64 __kconfig;
extern char CONFIG_SMP __kconfig;
extern enum libbpf_tristate CONFIG_BPF __kconfig;
extern unsigned long CONFIG_OF_ANOTHER_WORLD __kconfig __weak;

SEC("syscall") int kconfig(struct kconfig_ctx* ctx) {
  ctx->hz = CONFIG_HZ;
  ctx->version = LINUX_KERNEL_VERSION;
  ctx->cpus = CONFIG_NR_CPUS;
  ctx->x86_64 = CONFIG_X86_64;
  ctx->smp = CONFIG_SMP;
  ctx->bpf = CONFIG_BPF;
  ctx->weak = CONFIG_OF_ANOTHER_WORLD;
  return 0;
}

TEST_LICENSE;
