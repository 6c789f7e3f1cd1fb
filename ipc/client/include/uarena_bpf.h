/* SPDX-License-Identifier: MIT */
/* What a BPF program includes to use an arena: the map definition macros, the __arena address
 * space, the arena kfuncs and may_goto loops. It needs no other header, and the objects it makes
 * load into uarena and into a kernel with bpf_arena alike.
 *
 *   struct {
 *     __uint(type, BPF_MAP_TYPE_ARENA);
 *     __uint(map_flags, BPF_F_MMAPABLE);
 *     __uint(max_entries, 1 << 20);   // pages
 *   } arena SEC(".maps");
 *
 *   struct node { struct node __arena *next; __u64 value; };
 *   struct node __arena *head;
 *
 *   SEC("syscall") int push(void *ctx) {
 *     struct node __arena *n = bpf_arena_alloc_pages(&arena, NULL, 1, NUMA_NO_NODE, 0);
 *     ...
 *   }
 *
 * Compile: clang-19 -target bpf -mcpu=v4 -O2 -g -c x.bpf.c
 */
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;

#ifndef NULL
#define NULL ((void *)0)
#endif

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __ulong(name, val) enum { uarena_ulong_##name = val } name
#define __hidden __attribute__((visibility("hidden")))
#define __weak __attribute__((weak))
#define __noinline __attribute__((noinline))
#define __ksym __attribute__((section(".ksyms")))
#define __kconfig __attribute__((section(".kconfig")))
#define __arg_arena __attribute__((btf_decl_tag("arg:arena")))

#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_ARENA 33
#define BPF_F_MMAPABLE (1U << 10)
#define BPF_F_SEGV_ON_FAULT (1U << 17)
#define BPF_F_NO_USER_CONV (1U << 18)
#define NUMA_NO_NODE (-1)
#define PAGE_SIZE 4096UL

#if !defined(__BPF_FEATURE_ADDR_SPACE_CAST)
#error "this compiler has no arena casts: use clang 19 or newer with -target bpf -mcpu=v4"
#endif

/* A pointer into the arena, and a variable that lives there. */
#define __arena __attribute__((address_space(1)))
#define __arena_global __attribute__((address_space(1))) SEC(".addr_space.1")

/* A program may touch arena memory only if it names an arena (K65): by passing the map to a function
 * below, by an arena global, or, where it does neither, by this mention, which costs nothing. */
#define uarena_uses(map) asm volatile("" : : "r"(&(map)))

void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, __u32 page_cnt, int node_id,
                                    __u64 flags) __ksym __weak;
void bpf_arena_free_pages(void *map, void __arena *ptr, __u32 page_cnt) __ksym __weak;
int bpf_arena_reserve_pages(void *map, void __arena *ptr, __u32 page_cnt) __ksym __weak;

/* Loops that the verifier need not count: `while (... && can_loop)` goes on for at most 250 ms
 * (K54), `cond_break` leaves the innermost loop then. */
#define can_loop                                                   \
  ({                                                               \
    __label__ uarena_expired, uarena_next;                         \
    int uarena_go = 1;                                             \
    asm volatile goto("may_goto %l[uarena_expired]" ::::uarena_expired); \
    goto uarena_next;                                              \
  uarena_expired:                                                  \
    uarena_go = 0;                                                 \
  uarena_next:                                                     \
    uarena_go;                                                     \
  })
#define cond_break       \
  ({                     \
    if (!can_loop) break; \
  })
