/* The contexts of the benchmark programs, for both sides. */
#pragma once

#ifdef __bpf__
#include "uarena_bpf.h"
#else
#include <linux/types.h>
#endif

/* alloc_free.bpf.c */
struct bench_pairs_ctx {
  __u64 pairs; /* alloc and free of one page, this often */
  __u64 done;  /* out: pairs that succeeded; fewer when 250 ms were over (K54) */
};

/* small.bpf.c */
struct bench_absent_ctx {
  __u64 loads;
  __u64 sum; /* out: 0, since an absent page reads as that (K49) */
};
