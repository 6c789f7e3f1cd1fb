// One program of each type that is run with a packet or with arguments: each reports all that it
// finds in its context, and changes what it may. Contexts are written as offsets into the kernel's
// structs, which are the same everywhere.
#include "uarena_bpf.h"

#define WORDS 48
__u32 seen[WORDS]; /* the context's fields, by offset / 4 */
__u64 seen_wide[4];
__u64 packet_bytes;

#define SEE(offset) seen[(offset) / 4] = *(volatile __u32*)(ctx + (offset))

struct __sk_buff;
struct xdp_md;

static void see_skb(void* ctx) {
  SEE(0); /* len */
  SEE(4);
  SEE(8);  /* mark */
  SEE(12); /* queue_mapping */
  SEE(16); /* protocol */
  SEE(20); /* vlan_present */
  SEE(24);
  SEE(28);
  SEE(32); /* priority */
  SEE(36);
  SEE(40); /* ifindex */
  SEE(48); /* cb */
  SEE(52);
  SEE(56);
  SEE(60);
  SEE(64);
}

SEC("tc")
int on_tc(struct __sk_buff* skb) {
  void* ctx = skb;
  see_skb(ctx);
  SEE(44);                                      /* tc_index */
  SEE(72);                                      /* tc_classid */
  SEE(160);                                     /* wire_len */
  SEE(164);                                     /* gso_segs */
  SEE(176);                                     /* gso_size */
  seen_wide[0] = *(volatile __u64*)(ctx + 152); /* tstamp */
  __u8* data = (void*)(long)*(volatile __u32*)(ctx + 76);
  __u8* end = (void*)(long)*(volatile __u32*)(ctx + 80);
  packet_bytes = end - data;
  if (data + 20 <= end) {
    data[0] ^= 0xff;
    data[19] += 1;
  }
  *(volatile __u32*)(ctx + 8) += 1;
  *(volatile __u32*)(ctx + 32) += 2;
  *(volatile __u32*)(ctx + 44) = 77;
  *(volatile __u32*)(ctx + 48) += 3;
  *(volatile __u32*)(ctx + 64) += 4;
  *(volatile __u64*)(ctx + 152) += 5;
  return packet_bytes;
}

SEC("socket")
int on_socket(struct __sk_buff* skb) {
  void* ctx = skb;
  see_skb(ctx);
  *(volatile __u32*)(ctx + 48) += 3;
  *(volatile __u32*)(ctx + 64) += 4;
  return -2;
}

SEC("xdp")
int on_xdp(struct xdp_md* md) {
  void* ctx = md;
  __u8* data = (void*)(long)*(volatile __u32*)(ctx + 0);
  __u8* end = (void*)(long)*(volatile __u32*)(ctx + 4);
  __u8* meta = (void*)(long)*(volatile __u32*)(ctx + 8);
  SEE(12); /* ingress_ifindex */
  SEE(16); /* rx_queue_index */
  packet_bytes = end - data;
  seen_wide[1] = data - meta;
  if (meta + 4 <= data) seen[2] = *(__u32*)meta;
  if (data + 20 <= end) {
    data[0] ^= 0xff;
    data[19] += 1;
  }
  return 3;
}

SEC("raw_tp")
int on_raw_tp(__u64* args) {
  seen_wide[0] = args[0];
  seen_wide[1] = args[2];
  return args[0] + args[2];
}

SEC("syscall")
int on_syscall(__u64* args) {
  seen_wide[0] = args[0];
  args[1] += 1;
  return args[0];
}

SEC("syscall")
int without_context(void* ctx) { return 42; }

char _license[] SEC("license") = "Dual MIT/GPL";
