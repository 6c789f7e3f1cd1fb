// The contexts of uarena_bpf_contexts.h are the kernel's: each field is where <linux/bpf.h> has it.
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <cstddef>

namespace uarena::jit {
namespace {
// What was included before as macros is checked below by their numbers.
constexpr int kOk = TC_ACT_OK, kShot = TC_ACT_SHOT, kUnspec = TC_ACT_UNSPEC;
constexpr int kAborted = ::XDP_ABORTED, kDrop = ::XDP_DROP, kPass = ::XDP_PASS, kTx = ::XDP_TX,
              kRedirect = ::XDP_REDIRECT;
#undef TC_ACT_OK
#undef TC_ACT_SHOT
#undef TC_ACT_UNSPEC
namespace ours {
#include "ipc/client/include/uarena_bpf_contexts.h"
}

#define EXPECT_SAME_PLACE(type, field)                             \
  EXPECT_EQ(offsetof(ours::type, field), offsetof(::type, field)); \
  EXPECT_EQ(sizeof(ours::type::field), sizeof(::type::field)) << #field

TEST(Contexts, OfPacketsAreTheKernels) {
  EXPECT_EQ(sizeof(ours::__sk_buff), sizeof(::__sk_buff));
  EXPECT_SAME_PLACE(__sk_buff, len);
  EXPECT_SAME_PLACE(__sk_buff, pkt_type);
  EXPECT_SAME_PLACE(__sk_buff, mark);
  EXPECT_SAME_PLACE(__sk_buff, queue_mapping);
  EXPECT_SAME_PLACE(__sk_buff, protocol);
  EXPECT_SAME_PLACE(__sk_buff, vlan_present);
  EXPECT_SAME_PLACE(__sk_buff, vlan_tci);
  EXPECT_SAME_PLACE(__sk_buff, vlan_proto);
  EXPECT_SAME_PLACE(__sk_buff, priority);
  EXPECT_SAME_PLACE(__sk_buff, ingress_ifindex);
  EXPECT_SAME_PLACE(__sk_buff, ifindex);
  EXPECT_SAME_PLACE(__sk_buff, tc_index);
  EXPECT_SAME_PLACE(__sk_buff, cb);
  EXPECT_SAME_PLACE(__sk_buff, hash);
  EXPECT_SAME_PLACE(__sk_buff, tc_classid);
  EXPECT_SAME_PLACE(__sk_buff, data);
  EXPECT_SAME_PLACE(__sk_buff, data_end);
  EXPECT_SAME_PLACE(__sk_buff, napi_id);
  EXPECT_SAME_PLACE(__sk_buff, data_meta);
  EXPECT_SAME_PLACE(__sk_buff, flow_keys);
  EXPECT_SAME_PLACE(__sk_buff, tstamp);
  EXPECT_SAME_PLACE(__sk_buff, wire_len);
  EXPECT_SAME_PLACE(__sk_buff, gso_segs);
  EXPECT_SAME_PLACE(__sk_buff, sk);
  EXPECT_SAME_PLACE(__sk_buff, gso_size);
  EXPECT_SAME_PLACE(__sk_buff, tstamp_type);
  EXPECT_SAME_PLACE(__sk_buff, hwtstamp);
  EXPECT_EQ(sizeof(ours::xdp_md), sizeof(::xdp_md));
  EXPECT_SAME_PLACE(xdp_md, data);
  EXPECT_SAME_PLACE(xdp_md, data_end);
  EXPECT_SAME_PLACE(xdp_md, data_meta);
  EXPECT_SAME_PLACE(xdp_md, ingress_ifindex);
  EXPECT_SAME_PLACE(xdp_md, rx_queue_index);
  EXPECT_SAME_PLACE(xdp_md, egress_ifindex);
}

TEST(Contexts, ResultsAreTheKernels) {
  EXPECT_EQ(TC_ACT_OK, kOk);
  EXPECT_EQ(TC_ACT_SHOT, kShot);
  EXPECT_EQ(TC_ACT_UNSPEC, kUnspec);
  EXPECT_EQ(XDP_ABORTED, kAborted);
  EXPECT_EQ(XDP_DROP, kDrop);
  EXPECT_EQ(XDP_PASS, kPass);
  EXPECT_EQ(XDP_TX, kTx);
  EXPECT_EQ(XDP_REDIRECT, kRedirect);
}

}  // namespace
}  // namespace uarena::jit
