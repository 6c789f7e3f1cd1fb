// Sign-extending and zero-extending loads from the arena (K60).
#include "contexts.h"

TEST_ARENA(TEST_PAGES, 0);

volatile __u64 __arena_global word;

SEC("syscall")
int sign_extend(struct extend_ctx* ctx) {
  word = 0x7fffffffffffffff;
  ctx->s8 = *(volatile __s8 __arena*)&word;
  ctx->s16 = *(volatile __s16 __arena*)&word;
  ctx->s32 = *(volatile __s32 __arena*)&word;
  ctx->u8 = *(volatile __u8 __arena*)&word;
  ctx->u16 = *(volatile __u16 __arena*)&word;
  ctx->u32 = *(volatile __u32 __arena*)&word;
  ctx->positive = ((volatile __s8 __arena*)&word)[7];
  return 0;
}

TEST_LICENSE;
