// Programs that look at a packet, and that print: what the command passes in, and what it shows.
#include "uarena_bpf_contexts.h"
#include "uarena_bpf_helpers.h"

// Counts in the last byte of an Ethernet header.
SEC("xdp")
int count_in_packet(struct xdp_md* ctx) {
  __u8* data = (void*)(long)ctx->data;
  if (data + 14 > (__u8*)(long)ctx->data_end) return -1;
  return ++data[13];
}

SEC("tc")
int mark(struct __sk_buff* skb) {
  skb->mark += 1;
  return skb->len;
}

// Reads the name through a pointer to its own stack.
SEC("tc")
int print(struct __sk_buff* skb) {
  static const char line[] = "%s has %d bytes\n", text[] = "%s ";
  char name[8] = "packet";
  __u64 data[] = {(__u64)name};
  bpf_trace_printk(line, sizeof line, name, skb->len);
  bpf_stream_vprintk(BPF_STDOUT, text, data, sizeof data);
  return bpf_stream_vprintk(BPF_STDERR, text, data, sizeof data);
}

char _license[] SEC("license") = "Dual MIT/GPL";
