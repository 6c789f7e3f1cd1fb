// Programs without an arena whose answers a test knows: echo returns the first word of its context
// and counts its runs in the second.
#include "uarena_bpf.h"

struct echo_ctx {
  __s32 answer;
  __u32 runs; /* out */
};

SEC("syscall")
int echo(struct echo_ctx* ctx) {
  ctx->runs++;
  return ctx->answer;
}

char _license[] SEC("license") = "Dual MIT/GPL";
