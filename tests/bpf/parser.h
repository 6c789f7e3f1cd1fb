/* What parser.bpf.c finds in a packet, for both sides: BPF C and the tests. */
#pragma once

#include "contexts.h"

enum parse_result {
  PARSE_DONE,
  PARSE_NEXT, /* inside the parser: one more option */
  PARSE_OTHER,
  PARSE_CUT_OFF,
  PARSE_MALFORMED,
};

struct packet_facts {
  __u32 type;           /* of what Ethernet carries, behind the tags */
  __u32 vlan;           /* the innermost one's number */
  __u32 source, target; /* IPv4 addresses, or the last four bytes of IPv6 ones */
  __u32 flow_label;
  __u32 extensions; /* headers of IPv6 */
  __u32 fragment;
  __u32 protocol;
  __u32 source_port, target_port;
  __u32 tcp_flags;
  __u32 tcp_options; /* that have a length */
  __u32 mss, window_scale, sack_permitted, timestamp, timestamp_echo;
};
