// What the text cases of the verifier can name (tests/jit/verifier/cases): maps of every kind,
// kernel functions, and functions whose types matter. None of these programs runs; a case brings
// its own instructions and takes the rest from here.
#include "contexts.h"
#include "uarena_bpf_helpers.h"

struct __sk_buff {
  __u32 len;
};
struct xdp_md {
  __u32 data;
};

struct pair {
  __u64 a;
  __u64 b;
};
struct locked_value {
  __u64 before;
  struct bpf_spin_lock lock;
  __u32 after;
};
struct res_locked_value {
  struct bpf_res_spin_lock lock;
  __u32 after;
};
struct timed_value {
  __u64 before;
  struct bpf_timer timer;
};

#define MAP(name, kind, entries, key_type, value_type) \
  struct {                                             \
    __uint(type, kind);                                \
    __uint(max_entries, entries);                      \
    __type(key, key_type);                             \
    __type(value, value_type);                         \
  } name SEC(".maps")

struct {
  __uint(type, BPF_MAP_TYPE_ARENA);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 256);
  __ulong(map_extra, 0x7e9000000000);
} arena SEC(".maps");

MAP(four, BPF_MAP_TYPE_ARRAY, 4, __u32, __u64);
MAP(single, BPF_MAP_TYPE_ARRAY, 1, __u32, struct pair);
MAP(table, BPF_MAP_TYPE_HASH, 8, __u32, struct pair);
MAP(wide, BPF_MAP_TYPE_HASH, 8, struct pair, __u32);
MAP(recent, BPF_MAP_TYPE_LRU_HASH, 8, __u32, __u64);
MAP(per_cpu, BPF_MAP_TYPE_PERCPU_ARRAY, 2, __u32, struct pair);
MAP(locked, BPF_MAP_TYPE_ARRAY, 2, __u32, struct locked_value);
MAP(locked_too, BPF_MAP_TYPE_HASH, 8, __u32, struct locked_value);
MAP(res_locked, BPF_MAP_TYPE_ARRAY, 2, __u32, struct res_locked_value);
MAP(timed, BPF_MAP_TYPE_ARRAY, 2, __u32, struct timed_value);
MAP(timed_too, BPF_MAP_TYPE_ARRAY, 2, __u32, struct timed_value);

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} records SEC(".maps");

// .bss is 64 bytes, .rodata 16: a 5, then zeros; .rodata.text holds strings.
__u64 words[8];
const volatile __u32 constants[4] = {5};
const char text[16] SEC(".rodata.text") = "%d and %d";
const char unended[8] SEC(".rodata.unended") = {'u', 'n', 'e', 'n', 'd', 'e', 'd', '!'};

// The kernel has this one; nobody here offers it.
void* bpf_task_from_pid(int pid) __ksym __weak;

#define __arg_ctx __attribute__((btf_decl_tag("arg:ctx")))
#define __arg_nonnull __attribute__((btf_decl_tag("arg:nonnull")))

__noinline __weak int global_scalar(int x) { return x; }
__noinline __weak __u64 global_two(__u64 a, __u64 b) { return a + b; }
__noinline __weak int global_nothing(void) { return 0; }
__noinline __weak int global_arena(__u64* p __arg_arena) { return p != NULL; }
__noinline __weak int global_ctx(void* ctx __arg_ctx) { return ctx != NULL; }
__noinline __weak int global_skb(struct __sk_buff* skb) { return skb->len; }
__noinline __weak int global_xdp(struct xdp_md* xdp) { return xdp->data; }
__noinline __weak int global_pair(struct pair* p) { return p ? p->a : 0; }
__noinline __weak int global_pair_nonnull(struct pair* p __arg_nonnull) { return p->a; }
__noinline __weak int global_number(__u32* p) { return p ? *p : 0; }
struct unknown;
__noinline __weak int global_unknown(struct unknown* p) { return p != NULL; }
__noinline __weak int global_pointer_to_pointer(struct pair** p) { return p != NULL; }
__noinline __weak void global_void(int x) { words[0] = x; }
__noinline __weak struct pair* global_pointer(void) { return NULL; }

SEC("syscall")
int case_main(void* ctx) {
  struct bpf_iter_num it;
  struct pair p = {};
  unsigned long flags;
  struct res_locked_value* value = (void*)&res_locked;

  bpf_arena_alloc_pages(&arena, NULL, 1, NUMA_NO_NODE, 0);
  bpf_arena_free_pages(&arena, NULL, 1);
  bpf_arena_reserve_pages(&arena, NULL, 1);
  bpf_iter_num_new(&it, 0, 1);
  bpf_iter_num_next(&it);
  bpf_iter_num_destroy(&it);
  bpf_preempt_disable();
  bpf_preempt_enable();
  bpf_local_irq_save(&flags);
  bpf_local_irq_restore(&flags);
  bpf_rcu_read_lock();
  bpf_rcu_read_unlock();
  bpf_res_spin_lock(&value->lock);
  bpf_res_spin_unlock(&value->lock);
  bpf_task_from_pid(1);

  words[1] = global_scalar(1) + global_two(1, 2) + global_nothing() + global_arena(words) +
             global_ctx(ctx) + global_pair(&p) + global_pair_nonnull(&p) +
             global_number((__u32*)words) + (global_pointer() != NULL) + global_unknown(ctx) +
             global_pointer_to_pointer(ctx);
  global_void(constants[0]);
  asm volatile("" : : "r"(&four), "r"(&text), "r"(&unended));
  return 0;
}

// What a parameter of these is depends on the program that calls them.
SEC("tc")
int case_tc(struct __sk_buff* skb) { return global_skb(skb) + global_xdp((void*)skb); }

SEC("xdp")
int case_xdp(struct xdp_md* xdp) { return global_skb((void*)xdp) + global_xdp(xdp); }

TEST_LICENSE;
