// What a program writes to its streams, and what is reported there of it.
#include "contexts.h"
#include "uarena_bpf_helpers.h"

TEST_ARENA(TEST_PAGES, 0);

SEC("syscall")
int hello(struct loop_ctx* ctx) {
  char who[8] = "world";
  ctx->turns = bpf_stream_printk(3, "%d", 1);
  bpf_stream_printk(BPF_STDOUT, "hello %s, ", (__u64)who);
  bpf_stream_printk(BPF_STDOUT, "%d times\n", ctx->limit);
  return bpf_stream_printk(BPF_STDERR, "to be seen\n");
}

static __attribute__((noinline)) __u64 peek(__u64 __arena* at) { return *at; }

static __attribute__((noinline)) __u64 peek_twice(__u64 __arena* at) {
  __u64 first = peek(at);
  return first + peek(at + 1);
}

// Both absent: a read in a function of a function, and a write.
SEC("syscall")
int absent(struct cast_ctx* ctx) {
  __u64 __arena* at = (__u64 __arena*)ctx->in;
  uarena_uses(arena);
  ctx->user = peek_twice(at);
  at[2] = 7;
  return 0;
}

SEC("syscall")
int for_ever(struct loop_ctx* ctx) {
  for (volatile __u64 turns = 1; turns != 0; turns++) continue;
  return 0;
}

SEC("syscall")
int too_long(struct loop_ctx* ctx) {
  while (can_loop) ctx->turns++;
  return 0;
}

TEST_LICENSE;
