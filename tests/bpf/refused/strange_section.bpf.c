// A variable in a section that belongs to nobody.
#include "uarena_bpf.h"

__u64 word SEC("mine") = 1;

SEC("syscall") int program(__u64* ctx) {
  *ctx = word;
  return 0;
}
