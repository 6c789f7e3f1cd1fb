/* One work of the benchmark, from one source for all who do it: compiled to BPF, for us and for the
 * live kernel, it works in an arena; compiled for this machine, in plain memory and without
 * may_goto, it is what the ideal compiler makes of it.
 *
 * A work has two programs. `prepare` allocates and fills, once and unmeasured; `run` is measured,
 * leaves a figure in ctx->result that all must agree on, and can be run again and again. Both
 * return 0 or a negative errno.
 */
#pragma once

#ifdef __bpf__
#include "uarena_bpf.h"

#define WORK(part) SEC("syscall") int part(struct bench_work_ctx* ctx)
#define WORK_ARENA(pages)              \
  struct {                             \
    __uint(type, BPF_MAP_TYPE_ARENA);  \
    __uint(map_flags, BPF_F_MMAPABLE); \
    __uint(max_entries, pages);        \
  } arena SEC(".maps");                \
  char _license[] SEC("license") = "Dual MIT/GPL"
#define work_pages(count) bpf_arena_alloc_pages(&arena, NULL, count, NUMA_NO_NODE, 0)
#define WORK_USES_ARENA uarena_uses(arena)

#else
#include <linux/types.h>
#include <stddef.h>
#include <stdlib.h>

#define __arena
#define __noinline __attribute__((noinline))
#define PAGE_SIZE 4096UL
#define can_loop 1
#define WORK_NAME2(work, part) bench_##work##_##part
#define WORK_NAME(work, part) WORK_NAME2(work, part)
#define WORK(part) int WORK_NAME(WORK_IS, part)(struct bench_work_ctx * ctx)
#define WORK_ARENA(pages) enum { work_max_pages = pages }
#define work_pages(count) aligned_alloc(PAGE_SIZE, (count) * PAGE_SIZE)
#define WORK_USES_ARENA
#endif

struct bench_work_ctx {
  __u64 rounds; /* how often the work is done */
  __u64 result; /* out */
};

/* Zero, but neither the compiler nor the verifier knows: loops that begin with it are not walked
 * turn by turn, which the kernel gives up on. */
static volatile __u64 work_nothing;
static inline __u64 work_zero(void) { return work_nothing; }

/* A generator of numbers that is the same everywhere (xorshift64*). */
static inline __u64 work_random(__u64* state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * 0x2545f4914f6cdd1dull;
}
