// Loops of which nobody can say that they end: one that waits for a word of the arena, and a plain
// string search. The kernel refuses both.
#include "uarena_bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARENA);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 64);
} arena SEC(".maps");

#define TEXT_BYTES 65536

struct globals {
  __u64 flag;
  __u64 turns;
  char text[TEXT_BYTES];
};
volatile struct globals __arena_global globals;

SEC("syscall")
int wait_for_flag(void* ctx) {
  while (!globals.flag) globals.turns++;
  return globals.flag;
}

struct search_ctx {
  __u32 fill;   // the text: so many 'a', then one 'b'
  __s32 found;  // out: where "aab" begins
};

SEC("syscall")
int search(struct search_ctx* ctx) {
  const __u32 fill = ctx->fill;
  if (fill >= TEXT_BYTES) return -1;
  for (__u32 i = 0; i < fill; i++) globals.text[i] = 'a';
  globals.text[fill] = 'b';
  const char needle[] = {'a', 'a', 'b'};
  for (__u32 at = 0; at + sizeof needle <= TEXT_BYTES; at++) {
    __u32 same = 0;
    while (same < sizeof needle && globals.text[at + same] == needle[same]) same++;
    if (same == sizeof needle) {
      ctx->found = at;
      return 0;
    }
  }
  ctx->found = -1;
  return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
