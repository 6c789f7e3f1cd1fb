/* SPDX-License-Identifier: MIT */
/* The functions beside those of the arena that a BPF program may call here, with what they take:
 * maps, locks, timers, loops, clocks, strings, printing, the current task. Numbers, names and
 * meanings are the kernel's (bpf-helpers(7), and the kernel's documentation of kfuncs), so the same
 * object loads there. Instead of libbpf's bpf_helpers.h, not beside it.
 *
 *   struct {
 *     __uint(type, BPF_MAP_TYPE_HASH);
 *     __uint(max_entries, 1000);
 *     __type(key, __u32);
 *     __type(value, __u64);
 *   } counts SEC(".maps");
 *
 *   SEC("syscall") int count(struct ctx *ctx) {
 *     __u64 *value = bpf_map_lookup_elem(&counts, &ctx->key);
 *     if (value) __sync_fetch_and_add(value, 1);
 *     bpf_printk("key %u", ctx->key);
 *     return 0;
 *   }
 *
 * Which of them may be called where (inside locks, in which program types) is what the verifier
 * says; all return 0 or a negative errno where nothing else is said.
 */
#pragma once

#include "uarena_bpf.h"

#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_LRU_HASH 9
#define BPF_MAP_TYPE_RINGBUF 27

/* Whether a function declared __ksym __weak is there. */
#define bpf_ksym_exists(function) ((function) != NULL)

/* Maps. What lookup returns is inside the map, or NULL; it stays valid until the run ends, but an
 * element of a hash may become another one's. flags of update: */
#define BPF_ANY 0     /* create or replace */
#define BPF_NOEXIST 1 /* -EEXIST if there is one */
#define BPF_EXIST 2   /* -ENOENT if there is none */
#define BPF_F_LOCK 4  /* under the value's bpf_spin_lock */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value,
                                         __u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static long (*const bpf_for_each_map_elem)(void *map, void *callback, void *callback_ctx,
                                           __u64 flags) = (void *)164;
static void *(*const bpf_map_lookup_percpu_elem)(void *map, const void *key, __u32 cpu) = (void *)195;

/* Ring buffers. A reserved record is submitted or discarded on every path. What query asks for: */
#define BPF_RB_AVAIL_DATA 0
#define BPF_RB_RING_SIZE 1
#define BPF_RB_CONS_POS 2
#define BPF_RB_PROD_POS 3
static long (*const bpf_ringbuf_output)(void *ring, void *data, __u64 size, __u64 flags) = (void *)130;
static void *(*const bpf_ringbuf_reserve)(void *ring, __u64 size, __u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *data, __u64 flags) = (void *)132;
static void (*const bpf_ringbuf_discard)(void *data, __u64 flags) = (void *)133;
static __u64 (*const bpf_ringbuf_query)(void *ring, __u64 flags) = (void *)134;

/* Locks, as members of map values; one at a time. A bpf_res_spin_lock may stand in the arena, too,
 * and is taken only where the result is 0: -EDEADLK, -ETIMEDOUT. */
struct bpf_spin_lock {
  __u32 val;
};
struct bpf_res_spin_lock {
  __u32 val;
};
static long (*const bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*const bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;
int bpf_res_spin_lock(struct bpf_res_spin_lock *lock) __ksym __weak;
void bpf_res_spin_unlock(struct bpf_res_spin_lock *lock) __ksym __weak;

/* Timers, as members of map values. The callback is int cb(void *map, KEY *key, VALUE *value) and
 * runs later, on its own; init takes CLOCK_REALTIME 0, CLOCK_MONOTONIC 1 or CLOCK_BOOTTIME 7. */
#define BPF_F_TIMER_ABS 1
#define BPF_F_TIMER_CPU_PIN 2
struct bpf_timer {
  __u64 __opaque[2];
} __attribute__((aligned(8)));
static long (*const bpf_timer_init)(struct bpf_timer *timer, void *map, __u64 flags) = (void *)169;
static long (*const bpf_timer_set_callback)(struct bpf_timer *timer, void *callback) = (void *)170;
static long (*const bpf_timer_start)(struct bpf_timer *timer, __u64 nsecs, __u64 flags) = (void *)171;
static long (*const bpf_timer_cancel)(struct bpf_timer *timer) = (void *)172;

/* Sections; each is left on every path. */
void bpf_rcu_read_lock(void) __ksym __weak;
void bpf_rcu_read_unlock(void) __ksym __weak;
void bpf_preempt_disable(void) __ksym __weak;
void bpf_preempt_enable(void) __ksym __weak;
void bpf_local_irq_save(unsigned long *flags) __ksym __weak;
void bpf_local_irq_restore(unsigned long *flags) __ksym __weak;

/* Loops. The callback is long cb(__u32 turn, void *ctx); not 0: enough. */
static long (*const bpf_loop)(__u32 nr_loops, void *callback, void *callback_ctx,
                              __u64 flags) = (void *)181;

struct bpf_iter_num {
  __u64 __opaque[1];
} __attribute__((aligned(8)));
int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym __weak;
int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym __weak;
void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym __weak;

/* for (i = start; i < end; i++), and the verifier walks the body only until it knows what it does;
 * break and return are fine in it. */
#define UARENA_CAT2(a, b) a##b
#define UARENA_CAT(a, b) UARENA_CAT2(a, b)
#define UARENA_FOR(it, i, start, end)                                              \
  for (struct bpf_iter_num it __attribute__((cleanup(bpf_iter_num_destroy))),      \
       *UARENA_CAT(it, _begun) __attribute__((unused)) =                           \
           (bpf_iter_num_new(&it, (start), (end)), (struct bpf_iter_num *)NULL);   \
       ({                                                                          \
         int *uarena_next = bpf_iter_num_next(&it);                                \
         if (uarena_next) (i) = *uarena_next;                                      \
         uarena_next != NULL;                                                      \
       });)
#define bpf_for(i, start, end) UARENA_FOR(UARENA_CAT(uarena_it_, __COUNTER__), i, start, end)

/* Clocks in ns, chance, and who runs the program: the caller's process and user, not the broker's. */
static __u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static __u64 (*const bpf_ktime_get_boot_ns)(void) = (void *)125;
static __u64 (*const bpf_ktime_get_coarse_ns)(void) = (void *)160;
static __u64 (*const bpf_ktime_get_tai_ns)(void) = (void *)208;
static __u64 (*const bpf_jiffies64)(void) = (void *)118;
static __u32 (*const bpf_get_prandom_u32)(void) = (void *)7;
static __u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;
static long (*const bpf_get_numa_node_id)(void) = (void *)42;
static __u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static __u64 (*const bpf_get_current_uid_gid)(void) = (void *)15;
static long (*const bpf_get_current_comm)(void *buf, __u32 size) = (void *)16;

/* Memory and strings. probe_read reads the arena, and through pointers of the program's own. */
static long (*const bpf_probe_read_kernel)(void *dst, __u32 size, const void *src) = (void *)113;
static long (*const bpf_probe_read_kernel_str)(void *dst, __u32 size, const void *src) = (void *)115;
static long (*const bpf_strncmp)(const char *s1, __u32 s1_size, const char *s2) = (void *)182;
static long (*const bpf_snprintf)(char *str, __u32 str_size, const char *fmt, __u64 *data,
                                  __u32 data_size) = (void *)165;
static long (*const bpf_trace_printk)(const char *fmt, __u32 fmt_size, ...) = (void *)6;
static long (*const bpf_trace_vprintk)(const char *fmt, __u32 fmt_size, const void *data,
                                       __u32 data_size) = (void *)177;

/* The program's stdout and stderr, for `uarena prog log --stream`: what they are given and no newline
 * of their own; -ENOENT for other streams. A kernel may have the one, the other, or both. */
#define BPF_STDOUT 1
#define BPF_STDERR 2
int bpf_stream_vprintk(int stream_id, const char *format, const void *values,
                       __u32 values_size) __ksym __weak;
int bpf_stream_vprintk_impl(int stream_id, const char *format, const void *values,
                            __u32 values_size, void *none) __ksym __weak;
#define bpf_stream_printk(stream, format, ...)                                              \
  ({                                                                                        \
    static const char uarena_format[] = format;                                             \
    __u64 uarena_values[] = {UARENA_U64S(__VA_ARGS__)};                                     \
    bpf_ksym_exists(bpf_stream_vprintk)                                                     \
        ? bpf_stream_vprintk(stream, uarena_format, uarena_values, sizeof(uarena_values))   \
        : bpf_stream_vprintk_impl(stream, uarena_format, uarena_values,                     \
                                  sizeof(uarena_values), NULL);                             \
  })

/* A line for `uarena prog log`; up to 12 values. */
#define bpf_printk(format, ...)                                                             \
  ({                                                                                        \
    static const char uarena_format[] = format;                                             \
    __u64 uarena_values[] = {UARENA_U64S(__VA_ARGS__)};                                     \
    bpf_trace_vprintk(uarena_format, sizeof(uarena_format), uarena_values,                  \
                      sizeof(uarena_values));                                               \
  })
#define UARENA_U64S(...) \
  UARENA_PICK(_, ##__VA_ARGS__, UARENA_V12, UARENA_V11, UARENA_V10, UARENA_V9, UARENA_V8,   \
              UARENA_V7, UARENA_V6, UARENA_V5, UARENA_V4, UARENA_V3, UARENA_V2, UARENA_V1,  \
              UARENA_V0)(__VA_ARGS__)
#define UARENA_PICK(_, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, pick, ...) pick
#define UARENA_V0()
#define UARENA_V1(a) (__u64)(a)
#define UARENA_V2(a, ...) (__u64)(a), UARENA_V1(__VA_ARGS__)
#define UARENA_V3(a, ...) (__u64)(a), UARENA_V2(__VA_ARGS__)
#define UARENA_V4(a, ...) (__u64)(a), UARENA_V3(__VA_ARGS__)
#define UARENA_V5(a, ...) (__u64)(a), UARENA_V4(__VA_ARGS__)
#define UARENA_V6(a, ...) (__u64)(a), UARENA_V5(__VA_ARGS__)
#define UARENA_V7(a, ...) (__u64)(a), UARENA_V6(__VA_ARGS__)
#define UARENA_V8(a, ...) (__u64)(a), UARENA_V7(__VA_ARGS__)
#define UARENA_V9(a, ...) (__u64)(a), UARENA_V8(__VA_ARGS__)
#define UARENA_V10(a, ...) (__u64)(a), UARENA_V9(__VA_ARGS__)
#define UARENA_V11(a, ...) (__u64)(a), UARENA_V10(__VA_ARGS__)
#define UARENA_V12(a, ...) (__u64)(a), UARENA_V11(__VA_ARGS__)
