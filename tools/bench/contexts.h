/* The contexts of the benchmark programs, for both sides. */
#pragma once

#ifdef __bpf__
#include "uarena_bpf.h"
#else
#include <linux/types.h>
#endif

/* list.bpf.c */
struct bench_list_ctx {
  __u64 nodes;  /* in the list */
  __u64 rounds; /* walk: how often */
  __u64 result; /* out: build: nodes linked; walk: sum over all rounds */
};
#define BENCH_LIST_MAX_NODES (1u << 18)
/* The list holds the values 1..nodes, so one round of walk sums to this. */
static inline __u64 bench_list_sum(__u64 nodes) { return nodes * (nodes + 1) / 2; }

/* alloc_free.bpf.c */
struct bench_pairs_ctx {
  __u64 pairs; /* alloc and free of one page, this often */
  __u64 done;  /* out: pairs that succeeded; fewer when 250 ms were over (K54) */
};
