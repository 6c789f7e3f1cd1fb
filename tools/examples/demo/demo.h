/* SPDX-License-Identifier: MIT */
/* What the demo's BPF program and its clients agree on. Both include this file: in BPF C the
 * pointers are pointers into the arena (__arena), in user-space C they are plain ones, and since
 * the arena lies at the same address in every process the bytes are the same.
 *
 *   offset 0 of the arena        struct demo_roots, the program's arena globals
 *   pages that it allocates      list nodes, the hash table and its entries, one after the other
 */
#pragma once

#ifdef __bpf__
#include "uarena_bpf.h"
#define DEMO_PTR __arena*
#else
#include <linux/types.h>
#define DEMO_PTR *
#endif

#define DEMO_BUCKETS 256u /* a power of two */
#define DEMO_ARENA_PAGES (1u << 20)
#define DEMO_SEGV_PAGES (1u << 10)
#define DEMO_SERVICE_PAGES 64u

/* A linked list: the newest node first. */
struct demo_node {
  struct demo_node DEMO_PTR next;
  __u64 value;
};

/* A hash table with chains: the entry of `key` is in the chain of bucket demo_bucket(key). */
struct demo_entry {
  struct demo_entry DEMO_PTR next;
  __u64 key;
  __u64 value;
};

struct demo_table {
  struct demo_entry DEMO_PTR buckets[DEMO_BUCKETS];
};

/* Where everything begins. */
struct demo_roots {
  struct demo_node DEMO_PTR head;
  struct demo_table DEMO_PTR table;
  __u64 list_len; /* nodes in the list */
  __u64 entries;  /* entries in the table */
  __u64 pages;    /* allocated for the two */
  /* The allocator: memory is cut off the newest page, of which `left` bytes are free. */
  char DEMO_PTR free;
  __u64 left;
};

static inline __u32 demo_bucket(__u64 key) {
  return (__u32)((key * 0x9e3779b97f4a7c15ull) >> 32) & (DEMO_BUCKETS - 1);
}

/* The value that `build` gives to a key. */
static inline __u64 demo_value(__u64 key) { return key * 3 + 1; }

/* Contexts of the programs: read and written in place. Every program returns 0, or a negative
 * errno. */

/* build: puts nodes with the values 1..list_len in front of the list and sets the keys 1..keys in
 * the table. -ENOMEM: no more pages; -ETIMEDOUT: cut off after 250 ms. */
struct demo_build {
  __u32 list_len;
  __u32 keys;
  __u64 pages; /* out: pages allocated so far */
};

/* sum: walks both, so that what a client wrote shows. */
struct demo_sum {
  __u64 list_len, list_sum;          /* out */
  __u64 entries, key_sum, value_sum; /* out */
};

/* read_word, peek: one load from the arena, 0 when the page is absent. */
struct demo_word {
  __u64 address;
  __u64 value; /* out */
};

/* alloc_at, free_at. */
struct demo_pages {
  __u64 address; /* 0: anywhere (alloc_at) */
  __u32 pages;
  __u32 unused;
  __u64 result; /* out: the address of the first page, or 0 */
};

/* count: how often it was called. */
struct demo_count {
  __u64 calls; /* out */
};
