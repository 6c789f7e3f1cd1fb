// What a real object may hold and the loader has to understand, in one: all forms of calls and of
// references to data, programs of several sections, functions and kernel functions that no program
// reaches. It is loaded, not run.
#include "contexts.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARENA);
  __uint(map_flags, BPF_F_MMAPABLE | BPF_F_NO_USER_CONV);
  __uint(max_entries, 100);
  __ulong(map_extra, 0x7e9500000000);
} arena SEC(".maps");

struct element {
  __u64 a;
  __u32 b[5];
};
typedef const struct element element_t;

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 7);
  __type(key, __u32);
  __type(value, element_t);
} typed SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(key_size, 4);
  __uint(value_size, 24);
  __uint(max_entries, 3);
} sized SEC(".maps");

extern unsigned long CONFIG_HZ __attribute__((section(".kconfig")));
void unknown_to_everyone(void* map) __ksym;

static __u64 counters[4];        // local: referred to through its section
static __u64 start[2] = {8, 9};  // likewise
__u64 __arena_global first[2];
static __u64 __arena_global second[3];

// Reached by nobody: what they refer to does not matter.
__noinline unsigned long unreached(void) { return CONFIG_HZ; }
__noinline int unreached_too(void) {
  unknown_to_everyone(&typed);
  return 0;
}

static __noinline __u64 leaf(__u64 x) {
  counters[3] += x;
  return start[1] + x;
}

// Other objects can't see it: its linkage in the kernel is static.
__hidden __noinline int hidden_function(int x) { return leaf(x) + 1; }
__noinline int global_function(int x) { return hidden_function(x) + leaf(x); }

// In a program's section, but only callable.
static __noinline SEC("syscall") __u64 neighbour(__u64 x) { return leaf(x) * 3; }

SEC("syscall")
int first_program(struct count_ctx* ctx) {
  first[1]++;
  second[2] = neighbour(ctx->count);
  ctx->sum = global_function(ctx->count);
  bpf_arena_free_pages(&arena, NULL, 0);
  asm volatile("" : : "r"(&typed), "r"(&sized));
  return 0;
}

SEC("?syscall")
int optional_program(struct count_ctx* ctx) { return leaf(ctx->count); }

SEC("socket")
int other_section(void* ctx) { return 0; }

TEST_LICENSE;
