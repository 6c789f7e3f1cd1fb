#include "jit/packet.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace uarena::jit {
namespace {

constexpr uint32_t kLoopback = 1;  // the interface that a test run's packets come from

struct Extent {
  size_t from = 0;
  size_t size = 0;
};
#define UARENA_FIELD(type, name) \
  Extent { offsetof(type, name), sizeof(type::name) }

// What BPF_PROG_TEST_RUN takes from a caller; ascending.
constexpr Extent kSkbFields[] = {
    UARENA_FIELD(__sk_buff, mark),
    UARENA_FIELD(__sk_buff, priority),
    UARENA_FIELD(__sk_buff, ingress_ifindex),
    UARENA_FIELD(__sk_buff, ifindex),
    UARENA_FIELD(__sk_buff, cb),
    UARENA_FIELD(__sk_buff, tstamp),
    UARENA_FIELD(__sk_buff, wire_len),
    UARENA_FIELD(__sk_buff, gso_segs),
    UARENA_FIELD(__sk_buff, gso_size),
    UARENA_FIELD(__sk_buff, hwtstamp),
};
constexpr Extent kXdpFields[] = {
    UARENA_FIELD(xdp_md, ingress_ifindex),
    UARENA_FIELD(xdp_md, rx_queue_index),
};
#undef UARENA_FIELD

// Copies the fields; false: something else is not 0.
bool take_fields(std::span<const Extent> fields, std::span<const std::byte> from, std::byte* to) {
  for (size_t at = 0; at < from.size(); ++at) {
    const bool taken = std::ranges::any_of(
        fields, [&](const Extent& field) { return at - field.from < field.size; });
    if (taken)
      to[at] = from[at];
    else if (from[at] != std::byte{0})
      return false;
  }
  return true;
}

}  // namespace

bool takes_packets(ProgramType type) {
  return type == ProgramType::socket_filter || type == ProgramType::sched_cls ||
         type == ProgramType::xdp;
}

PacketContext::PacketContext(std::span<std::byte> packet) {
  const auto data = reinterpret_cast<uint64_t>(packet.data());
  const auto put = [&](CtxLoad which, uint64_t pointer) {
    std::memcpy(memory_.data() + packet_pointer_offset(which), &pointer, sizeof pointer);
  };
  put(CtxLoad::data, data);
  put(CtxLoad::data_end, data + packet.size());
  put(CtxLoad::data_meta, data);  // no room for metadata
}

Result<PacketContext> PacketContext::create(ProgramType type, std::span<const std::byte> ctx,
                                            std::span<std::byte> packet) {
  if (packet.size() < ETH_HLEN)
    return fail(EINVAL, "a packet of {} bytes was given, it needs an Ethernet header of {}",
                packet.size(), ETH_HLEN);
  PacketContext made(packet);
  auto taken = type == ProgramType::xdp ? made.take_xdp(ctx) : made.take_skb(ctx);
  if (!taken) return std::unexpected(taken.error());
  if (type != ProgramType::xdp) made.describe(packet, type == ProgramType::sched_cls);
  return made;
}

Result<void> PacketContext::take_skb(std::span<const std::byte> ctx) {
  if (ctx.size() > sizeof(__sk_buff))
    return fail(EINVAL, "the context has {} bytes, a struct __sk_buff {}", ctx.size(),
                sizeof(__sk_buff));
  as<__sk_buff>().ifindex = kLoopback;
  if (take_fields(kSkbFields, ctx, memory_.data())) return {};
  return fail(EINVAL,
              "of the context only mark, priority, ingress_ifindex, ifindex, cb, tstamp, wire_len, "
              "gso_segs, gso_size and hwtstamp can be set");
}

Result<void> PacketContext::take_xdp(std::span<const std::byte> ctx) {
  if (ctx.size() > sizeof(xdp_md))
    return fail(EINVAL, "the context has {} bytes, a struct xdp_md {}", ctx.size(), sizeof(xdp_md));
  as<xdp_md>().ingress_ifindex = kLoopback;
  if (take_fields(kXdpFields, ctx, memory_.data())) return {};
  return fail(EINVAL, "of the context only ingress_ifindex and rx_queue_index can be set");
}

// What the kernel finds in the packet itself.
void PacketContext::describe(std::span<const std::byte> packet, bool with_link_header) {
  ethhdr header;
  std::memcpy(&header, packet.data(), sizeof header);
  auto& skb = as<__sk_buff>();
  skb.len = static_cast<uint32_t>(packet.size() - (with_link_header ? 0 : ETH_HLEN));
  if (skb.wire_len == 0) skb.wire_len = skb.len;
  const bool is_type = std::byteswap(header.h_proto) >= ETH_P_802_3_MIN;
  skb.protocol = is_type ? header.h_proto : std::byteswap(uint16_t{ETH_P_802_2});
  const auto all = [&](unsigned char byte) {
    return std::ranges::all_of(header.h_dest, [&](unsigned char b) { return b == byte; });
  };
  if (all(0))
    skb.pkt_type = PACKET_HOST;  // the loopback's own address
  else if (all(0xff))
    skb.pkt_type = PACKET_BROADCAST;
  else
    skb.pkt_type = (header.h_dest[0] & 1) != 0 ? PACKET_MULTICAST : PACKET_OTHERHOST;
}

void PacketContext::write_back(std::span<std::byte> ctx) const {
  std::memcpy(ctx.data(), memory_.data(), std::min(ctx.size(), sizeof(__sk_buff)));
}

}  // namespace uarena::jit
