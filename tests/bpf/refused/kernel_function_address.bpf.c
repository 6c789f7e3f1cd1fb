// The address of a kernel function, as in a test whether it exists.
#include "uarena_bpf.h"

SEC("syscall") int program(__u64* ctx) {
  *ctx = bpf_arena_reserve_pages != 0;
  return 0;
}
