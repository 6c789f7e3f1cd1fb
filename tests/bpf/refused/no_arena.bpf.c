// Arena variables without an arena (K79).
#include "uarena_bpf.h"

__u64 __arena_global word;

SEC("syscall") int program(__u64* ctx) {
  *ctx = word;
  return 0;
}
