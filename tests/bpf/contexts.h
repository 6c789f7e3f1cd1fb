/* The contexts of the programs in this folder, for both sides: BPF C and the tests. Each program
 * reads its inputs from the context and writes its results into it; fields that a program writes
 * are marked out. */
#pragma once

#ifdef __bpf__
#include "uarena_bpf.h"
#define TEST_ARENA(pages, flags)               \
  struct {                                     \
    __uint(type, BPF_MAP_TYPE_ARENA);          \
    __uint(map_flags, BPF_F_MMAPABLE | flags); \
    __uint(max_entries, pages);                \
  } arena SEC(".maps")
#define TEST_LICENSE char _license[] SEC("license") = "Dual MIT/GPL"
#else
#include <linux/types.h>
#endif

#define TEST_PAGES 1024

/* list.bpf.c, htab.bpf.c: `count` elements with the values 1..count; algorithms.bpf.c: as it likes.
 */
struct count_ctx {
  __u64 count;
  __u64 found; /* out */
  __u64 sum;   /* out */
};

/* kfuncs.bpf.c: one call with any arguments (K33-K41). */
struct kfunc_ctx {
  __u64 addr;
  __u32 cnt;
  __s32 node;
  __u64 flags;
  __u64 result; /* out: address of alloc, sign-extended result of reserve, value of peek */
};

/* atomics.bpf.c: the word at each step, and what the operation returned (0 where it returns
 * nothing). Index: the step in the program. */
#define ATOMIC_STEPS 8
struct atomic_ctx {
  __u64 memory[ATOMIC_STEPS];   /* out */
  __u64 returned[ATOMIC_STEPS]; /* out */
};

/* acquire_release.bpf.c: sizes 1, 2, 4, 8. */
struct acquire_ctx {
  __u64 loaded[4]; /* out: load_acquire of 0xff..ff */
  __u64 stored[4]; /* out: the word after store_release of 0x1122334455667788 into 0 */
};

/* sign_extend.bpf.c: loads of the bytes ff ff ff ff ff ff ff 7f. */
struct extend_ctx {
  __s64 s8, s16, s32; /* out: -1 */
  __u64 u8, u16, u32; /* out: 0xff, 0xffff, 0xffffffff */
  __s64 positive;     /* out: s8 of 0x7f */
};

/* casts.bpf.c: `in` as a user address, cast to kernel and back (K55-K58). */
struct cast_ctx {
  __u64 in;
  __u64 user; /* out: cast_user of the low 32 bits */
  __u64 kern; /* out: cast_kern: the low 32 bits */
};

/* absent.bpf.c: accesses to the page at `addr` (K48-K51). */
struct absent_ctx {
  __u64 addr;
  __u64 loads[4];                          /* out: 1, 2, 4, 8 bytes */
  __s64 signed_loads[3];                   /* out: 1, 2, 4 bytes */
  __u64 after_store;                       /* out: the word read back after stores of every size */
  __u64 fetch_add, xchg, cmpxchg, acquire; /* out: destination registers; K51 */
  __u64 done;                              /* out: 1, the program ran to its end */
};

/* may_goto.bpf.c */
struct loop_ctx {
  __u64 limit; /* 0: none */
  __u64 turns; /* out */
};

/* calls.bpf.c */
struct calls_ctx {
  __u64 n;
  __u64 by_static; /* out: sum of 1..n, by a static function that calls another */
  __u64 by_global; /* out: sum of two words of the arena, by a global function with __arg_arena */
  __u64 scalar;    /* out: n squared, by a global function */
  __u64 depth;     /* out: 8, frames that called each other */
};

/* kconfig.bpf.c */
struct kconfig_ctx {
  __u64 hz, version, cpus, x86_64, smp, bpf, weak; /* out */
};

/* helpers.bpf.c */
struct helpers_ctx {
  __u64 in;
  __u64 out[16]; /* out */
};

/* timers.bpf.c */
enum timer_operation {
  TIMER_LOOK,         /* at what the callbacks have counted */
  TIMER_INIT,         /* a: flags */
  TIMER_SET_CALLBACK, /* a: 0 counts, 1 starts itself again, 2 cancels itself */
  TIMER_START,        /* a: ns, b: flags */
  TIMER_CANCEL,
  TIMER_UPDATE, /* of the element */
  TIMER_DELETE,
};
struct timer_ctx {
  __u64 operation, key, a, b;
  __s64 result;          /* out */
  __u64 fired, key_seen; /* out: of TIMER_LOOK; the key plus 1 */
  __s64 callback_result; /* out: of what the callback called */
};

/* globals.bpf.c */
struct globals_ctx {
  __u64 rodata, data, bss, arena, custom; /* out: their values before this run's changes */
};

/* stress.bpf.c: `work` by as many as one likes, then `look`. */
struct stress_ctx {
  __u64 id;    /* of the worker, from 1 */
  __u64 turns; /* at most 256 */
  __u64 sum;   /* out: of what the fetching additions returned */
  __u64 taken; /* out: of what the exchanges returned */
  __u64 wrong; /* out: how often something was not as it has to be */
  /* look, all out */
  __u64 nodes, owners;
  __u64 added, fetched, compared, in_map, guarded;
  __u64 last_exchanged;
};
