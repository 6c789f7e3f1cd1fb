// What a program writes to its streams, and what is reported there of it.
#include "contexts.h"

int bpf_stream_vprintk(int stream_id, const char* format, const void* args,
                       __u32 bytes) __ksym __weak;

TEST_ARENA(TEST_PAGES, 0);

#define WRITE(stream, format, ...)                        \
  ({                                                      \
    static const char text[] = format;                    \
    __u64 data[] = {__VA_ARGS__};                         \
    bpf_stream_vprintk(stream, text, data, sizeof(data)); \
  })

SEC("syscall")
int hello(struct loop_ctx* ctx) {
  char who[8] = "world";
  ctx->turns = WRITE(3, "%d", 1);
  WRITE(1, "hello %s, ", (__u64)who);
  WRITE(1, "%d times\n", ctx->limit);
  return WRITE(2, "to be seen\n", 0);
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
