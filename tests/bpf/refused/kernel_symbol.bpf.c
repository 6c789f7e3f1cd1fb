// The address of a variable of the kernel.
#include "uarena_bpf.h"

extern const int some_variable __ksym;

SEC("syscall") int program(__u64* ctx) {
  *ctx = (__u64)&some_variable;
  return 0;
}
