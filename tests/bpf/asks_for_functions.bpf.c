// Programs that ask whether a kernel function is there before they call it: a function that nobody
// has is no reason to refuse them, as long as no path calls it.
#include "contexts.h"
#include "uarena_bpf_helpers.h"

TEST_ARENA(TEST_PAGES, 0);

int bpf_of_another_world(int x) __ksym __weak;

SEC("syscall")
int asks(struct helpers_ctx* ctx) {
  void __arena* page = NULL;
  ctx->out[0] = bpf_ksym_exists(bpf_arena_alloc_pages);
  ctx->out[1] = bpf_ksym_exists(bpf_of_another_world);
  if (bpf_ksym_exists(bpf_arena_alloc_pages))
    page = bpf_arena_alloc_pages(&arena, NULL, 1, NUMA_NO_NODE, 0);
  if (bpf_ksym_exists(bpf_of_another_world)) return bpf_of_another_world(ctx->in);
  ctx->out[2] = page != NULL;
  return 7;
}

TEST_LICENSE;
