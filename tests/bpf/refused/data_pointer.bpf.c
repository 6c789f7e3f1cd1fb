// A variable that is initialised with the address of another.
#include "uarena_bpf.h"

__u64 target = 1;
__u64* pointer = &target;

SEC("syscall") int program(__u64* ctx) {
  *ctx = (__u64)pointer;
  return 0;
}
