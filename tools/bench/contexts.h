/* The contexts of the benchmark programs, for both sides. */
#pragma once

#ifdef __bpf__
#include "uarena_bpf.h"
#else
#include <linux/types.h>
#endif

/* alloc_free.bpf.c */
struct bench_pairs_ctx {
  __u64 pairs; /* alloc and free, this often */
  __u64 pages; /* of this many pages in one call */
  __u64 done;  /* out: pairs that succeeded; fewer when 250 ms were over (K54) */
};
struct bench_range_ctx {
  __u64 pages;
  __u64 address; /* allocate: out; release: of the first page */
};

/* small.bpf.c */
struct bench_absent_ctx {
  __u64 loads;
  __u64 sum; /* out: 0, since an absent page reads as that (K49) */
};
