/* SPDX-License-Identifier: MIT */
/* What programs that take a packet or arguments find behind their parameter, with the kernel's names and
 * places, and what they return. For those who include uarena_bpf.h, with which <linux/bpf.h> can't be
 * included.
 *
 *   SEC("xdp") int first_byte(struct xdp_md *ctx) {
 *     __u8 *packet = (void *)(long)ctx->data;
 *     if (packet + 1 > (__u8 *)(long)ctx->data_end) return XDP_DROP;
 *     return packet[0] == 0xff ? XDP_DROP : XDP_PASS;
 *   }
 *
 * Which fields may be read or written depends on the section; the verifier says so.
 */
#pragma once

#ifdef __bpf__
#include "uarena_bpf.h"
#endif

/* tc and socket. What is given to a run, and what it gives back, is in uarena.h, uarena_test_run. */
struct __sk_buff {
  __u32 len;
  __u32 pkt_type;
  __u32 mark;
  __u32 queue_mapping;
  __u32 protocol; /* in the packet's byte order */
  __u32 vlan_present;
  __u32 vlan_tci;
  __u32 vlan_proto;
  __u32 priority;
  __u32 ingress_ifindex;
  __u32 ifindex;
  __u32 tc_index;
  __u32 cb[5];
  __u32 hash;
  __u32 tc_classid;
  __u32 data; /* tc only: pointers to the packet and behind it, after (void *)(long) */
  __u32 data_end;
  __u32 napi_id;
  __u32 of_sockets[13]; /* neither tc nor socket has them */
  __u32 data_meta;
  __u64 flow_keys; /* not here */
  __u64 tstamp;
  __u32 wire_len;
  __u32 gso_segs;
  __u64 sk; /* not here */
  __u32 gso_size;
  __u8 tstamp_type;
  __u8 padding[3];
  __u64 hwtstamp;
};

#define TC_ACT_UNSPEC (-1)
#define TC_ACT_OK 0
#define TC_ACT_SHOT 2

/* xdp */
struct xdp_md {
  __u32 data; /* pointers to the packet, behind it, and to the metadata before it */
  __u32 data_end;
  __u32 data_meta;
  __u32 ingress_ifindex;
  __u32 rx_queue_index;
  __u32 egress_ifindex; /* not here */
};

#define XDP_ABORTED 0
#define XDP_DROP 1
#define XDP_PASS 2
#define XDP_TX 3
#define XDP_REDIRECT 4

/* raw_tp: as many arguments as the caller passes. */
struct bpf_raw_tracepoint_args {
  __u64 args[12];
};
