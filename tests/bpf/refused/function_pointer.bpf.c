// The address of a function of the object.
#include "uarena_bpf.h"

static __noinline __u64 callback(__u64 x) {
  asm volatile("" : "+r"(x));
  return x;
}

SEC("syscall") int program(__u64* ctx) {
  __u64 (*volatile pointer)(__u64) = callback;
  *ctx = (__u64)pointer;
  return 0;
}
