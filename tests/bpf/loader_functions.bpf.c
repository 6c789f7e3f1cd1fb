// Global functions with every kind of parameter, in programs of several types, and functions whose
// address is taken. It is loaded, not run.
#include "contexts.h"

#define __tag(text) __attribute__((btf_decl_tag(text)))
#define __type_tag(text) __attribute__((btf_type_tag(text)))

struct __sk_buff {
  __u32 len;
};
struct xdp_md {
  __u32 data;
};
struct pair {
  __u64 a, b;
};
struct unknown;
enum colour { kRed, kBlue };
typedef const struct pair pair_t;

#define FUNCTION(name, ...)                 \
  __noinline __weak int name(__VA_ARGS__) { \
    asm volatile("");                       \
    return 0;                               \
  }

FUNCTION(numbers, int a, enum colour b, _Bool c, __u64 d, __s8 e)
FUNCTION(arena_tag, __u64* p __tag("arg:arena"), __u64 __type_tag("arena") * q)
FUNCTION(ctx_tag, void* ctx __tag("arg:ctx"))
FUNCTION(skb, struct __sk_buff* skb, const struct xdp_md* xdp)
FUNCTION(memory, pair_t* p, struct pair* q __tag("arg:nonnull"), __u8 (*bytes)[100])
FUNCTION(other_tag, struct pair* p __tag("other:tag"))
FUNCTION(strange, struct unknown* a, void* b, struct pair* c __tag("arg:nullable"),
         struct pair* d __tag("arg:trusted"), int e __tag("arg:arena"))
FUNCTION(two_tags, __u64* a __tag("arg:arena") __tag("arg:nonnull"),
         __u64* b __tag("arg:ctx") __tag("arg:nonnull"))
FUNCTION(words, __u64* ctx __tag("arg:ctx"))
__noinline __weak void no_result(int x) { asm volatile(""); }
__noinline __weak struct pair* pointer_result(void) { return NULL; }
static __noinline int local(int x) {
  asm volatile("" : "+r"(x));
  return x;
}

static __noinline int callback(__u32 i, void* data) {
  asm volatile("");
  return local(i);
}
static __noinline int callback_too(__u32 i, void* data) {
  asm volatile("");
  return 1;
}
static int (*volatile taken)(__u32, void*);

static inline __attribute__((always_inline)) void call_all(void* ctx) {
  numbers(1, kBlue, 1, 2, 3);
  arena_tag(NULL, NULL);
  ctx_tag(ctx);
  skb(ctx, ctx);
  memory(NULL, NULL, NULL);
  other_tag(NULL);
  strange(NULL, NULL, NULL, NULL, 0);
  two_tags(NULL, NULL);
  words(ctx);
  no_result(1);
  pointer_result();
}

SEC("syscall") int in_syscall(void* ctx) {
  call_all(ctx);
  taken = callback;
  taken = callback_too;
  return local(1);
}
SEC("tc") int in_tc(void* ctx) {
  call_all(ctx);
  return 0;
}
SEC("?xdp") int in_xdp(void* ctx) {
  call_all(ctx);
  return 0;
}
SEC("raw_tp/sys_enter") int in_raw_tp(void* ctx) {
  call_all(ctx);
  return 0;
}
// The address of a function in the entry's own section.
static __noinline SEC("socket") int neighbour(__u32 i, void* data) {
  asm volatile("");
  return 2;
}
SEC("socket") int in_socket(void* ctx) {
  taken = neighbour;
  return 0;
}

TEST_LICENSE;
