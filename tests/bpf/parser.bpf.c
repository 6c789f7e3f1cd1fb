// A packet parser as users write it: Ethernet with VLAN tags, IPv4 with options, IPv6 with
// extension headers, UDP, and TCP with its options. Every read is behind a comparison with
// data_end. What was found goes into a variable; the result says how far it came. It loads into the
// live kernel, too.
#include "parser.h"

#include "uarena_bpf_contexts.h"
#include "uarena_bpf_helpers.h"

struct packet_facts facts SEC(".bss.facts");

// Where reading goes on, and how many bytes of TCP options are left. Both are variables in memory,
// of which the verifier knows nothing when it comes round a loop: so it need not walk each turn.
static __u32 at_;
static __u32 left_;
struct cursor {
  void* data;
  void* end;
};

#define FARTHEST 2047

// `size` bytes at the cursor, which goes on behind them; NULL where the packet ends before.
static __attribute__((always_inline)) void* take(struct cursor* c, __u32 size) {
  const __u32 at = *(volatile __u32*)&at_;
  if (at > FARTHEST) return NULL;
  void* here = c->data + at;
  asm volatile("" : "+r"(here));  // else clang compares halves of addresses with NULL
  if (here + size > c->end) return NULL;
  at_ = at + size;
  return here;
}

static __u32 big16(const __u8* p) { return p[0] << 8 | p[1]; }
static __u32 big32(const __u8* p) { return big16(p) << 16 | big16(p + 2); }

#define VLAN_TAGS 2
#define EXTENSIONS 4
#define OPTIONS 40

static __attribute__((always_inline)) int parse_tcp_option(struct cursor* c) {
  const __u8* kind = take(c, 1);
  if (!kind) return PARSE_CUT_OFF;
  --left_;
  if (*kind == 0) return PARSE_DONE;
  if (*kind == 1) return PARSE_NEXT;
  const __u8* length = take(c, 1);
  if (!length) return PARSE_CUT_OFF;
  const __u32 size = *length;
  if (size < 2 || size - 1 > left_) return PARSE_MALFORMED;
  left_ -= size - 1;
  facts.tcp_options++;
  if (*kind == 2 && size == 4) {
    const __u8* value = take(c, 2);
    if (!value) return PARSE_CUT_OFF;
    facts.mss = big16(value);
  } else if (*kind == 3 && size == 3) {
    const __u8* value = take(c, 1);
    if (!value) return PARSE_CUT_OFF;
    facts.window_scale = *value;
  } else if (*kind == 8 && size == 10) {
    const __u8* value = take(c, 8);
    if (!value) return PARSE_CUT_OFF;
    facts.timestamp = big32(value);
    facts.timestamp_echo = big32(value + 4);
  } else {
    if (*kind == 4) facts.sack_permitted = 1;
    at_ += size - 2;
  }
  return PARSE_NEXT;
}

static __attribute__((always_inline)) int parse_tcp(struct cursor* c) {
  const __u8* tcp = take(c, 20);
  if (!tcp) return PARSE_CUT_OFF;
  facts.source_port = big16(tcp);
  facts.target_port = big16(tcp + 2);
  facts.tcp_flags = tcp[13];
  const __u32 header = (tcp[12] >> 4) * 4;
  if (header < 20) return PARSE_MALFORMED;
  left_ = header - 20;
  for (int n = 0; n < OPTIONS && can_loop; n++) {
    if (left_ == 0) return PARSE_DONE;
    const int result = parse_tcp_option(c);
    if (result != PARSE_NEXT) return result;
  }
  return PARSE_DONE;
}

static __attribute__((always_inline)) int parse_udp(struct cursor* c) {
  const __u8* udp = take(c, 8);
  if (!udp) return PARSE_CUT_OFF;
  facts.source_port = big16(udp);
  facts.target_port = big16(udp + 2);
  return big16(udp + 4) < 8 ? PARSE_MALFORMED : PARSE_DONE;
}

static __attribute__((always_inline)) int parse_transport(struct cursor* c, __u32 protocol) {
  facts.protocol = protocol;
  if (protocol == 6) return parse_tcp(c);
  if (protocol == 17) return parse_udp(c);
  return PARSE_OTHER;
}

static __attribute__((always_inline)) int parse_ipv4(struct cursor* c) {
  const __u8* ip = take(c, 20);
  if (!ip) return PARSE_CUT_OFF;
  const __u32 header = (ip[0] & 15) * 4;
  if (ip[0] >> 4 != 4 || header < 20) return PARSE_MALFORMED;
  facts.source = big32(ip + 12);
  facts.target = big32(ip + 16);
  facts.fragment = (big16(ip + 6) & 0x3fff) != 0;
  at_ += header - 20;
  return parse_transport(c, ip[9]);
}

// Hop-by-hop options, routing, destination options: each says how long it is. A fragment's header
// does not.
static __attribute__((always_inline)) int parse_ipv6(struct cursor* c) {
  const __u8* ip = take(c, 40);
  if (!ip) return PARSE_CUT_OFF;
  if (ip[0] >> 4 != 6) return PARSE_MALFORMED;
  facts.flow_label = big32(ip) & 0xfffff;
  facts.source = big32(ip + 20);
  facts.target = big32(ip + 36);
  __u32 next = ip[6];
  for (int n = 0; n < EXTENSIONS && can_loop; n++) {
    if (next != 0 && next != 43 && next != 44 && next != 60) break;
    const __u8* extension = take(c, 8);
    if (!extension) return PARSE_CUT_OFF;
    facts.extensions++;
    if (next == 44)
      facts.fragment = (big16(extension + 2) & 0xfff9) != 0;
    else
      at_ += extension[1] * 8;
    next = extension[0];
  }
  return parse_transport(c, next);
}

SEC("xdp")
int parse(struct xdp_md* md) {
  struct cursor c = {(void*)(__u64)md->data, (void*)(__u64)md->data_end};
  at_ = 0;
  __builtin_memset(&facts, 0, sizeof(facts));
  const __u8* ethernet = take(&c, 14);
  if (!ethernet) return PARSE_CUT_OFF;
  __u32 type = big16(ethernet + 12);
  for (int n = 0; n < VLAN_TAGS && (type == 0x8100 || type == 0x88a8); n++) {
    const __u8* tag = take(&c, 4);
    if (!tag) return PARSE_CUT_OFF;
    facts.vlan = big16(tag) & 0xfff;
    type = big16(tag + 2);
  }
  facts.type = type;
  if (type == 0x0800) return parse_ipv4(&c);
  if (type == 0x86dd) return parse_ipv6(&c);
  return PARSE_OTHER;
}

TEST_LICENSE;
