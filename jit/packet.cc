#include "jit/packet.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace uarena::jit {
namespace {

constexpr uint32_t kLoopback =
    1;  // the interface that a test run's packets come from: the only one
constexpr uint32_t kLongestMetadata = 255;
constexpr uint32_t kLongestWire = 65536;
constexpr uint32_t kMostSegments = 65535;

struct Extent {
  size_t from = 0;
  size_t size = 0;
};
#define UARENA_FIELD(type, name) \
  Extent { offsetof(type, name), sizeof(type::name) }

// What BPF_PROG_TEST_RUN takes from a caller.
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
// And what it gives back.
constexpr Extent kSkbResults[] = {
    UARENA_FIELD(__sk_buff, mark),
    UARENA_FIELD(__sk_buff, priority),
    UARENA_FIELD(__sk_buff, ingress_ifindex),
    UARENA_FIELD(__sk_buff, ifindex),
    UARENA_FIELD(__sk_buff, cb),
    UARENA_FIELD(__sk_buff, tstamp),
    UARENA_FIELD(__sk_buff, wire_len),
    UARENA_FIELD(__sk_buff, gso_segs),
    UARENA_FIELD(__sk_buff, hwtstamp),
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

PacketContext::PacketContext(ProgramType type, std::span<std::byte> packet)
    : type_(type), packet_(packet) {}

void PacketContext::point_to(CtxLoad which, const std::byte* place) {
  const auto pointer = reinterpret_cast<uint64_t>(place);
  std::memcpy(memory_.data() + packet_pointer_offset(which), &pointer, sizeof pointer);
}

Result<PacketContext> PacketContext::create(ProgramType type, std::span<const std::byte> ctx,
                                            std::span<std::byte> packet) {
  if (packet.size() < ETH_HLEN)
    return fail(EINVAL, "a packet of {} bytes was given, it needs an Ethernet header of {}",
                packet.size(), ETH_HLEN);
  PacketContext made(type, packet);
  auto taken = type == ProgramType::xdp ? made.take_xdp(ctx) : made.take_skb(ctx);
  if (!taken) return std::unexpected(taken.error());
  return made;
}

namespace {

Result<void> check_interface(uint32_t index) {
  if (index <= kLoopback) return {};
  return fail(ENODEV, "there is no interface {}: packets come from the loopback, {}", index,
              kLoopback);
}

// The rule for all structs that grow.
template <typename Struct>
Result<void> take_known(std::span<const std::byte> ctx, Struct& known, const char* name) {
  if (!ctx.empty()) std::memcpy(&known, ctx.data(), std::min(ctx.size(), sizeof known));
  if (ctx.size() <= sizeof known ||
      std::ranges::all_of(ctx.subspan(sizeof known), [](std::byte b) { return b == std::byte{0}; }))
    return {};
  return fail(E2BIG,
              "the context has {} bytes, of which only the {} of a struct {} may be other "
              "than 0",
              ctx.size(), sizeof known, name);
}

}  // namespace

Result<void> PacketContext::take_skb(std::span<const std::byte> ctx) {
  __sk_buff given{};
  if (auto known = take_known(ctx, given, "__sk_buff"); !known) return known;
  if (!take_fields(kSkbFields, std::as_bytes(std::span(&given, 1)), memory_.data()))
    return fail(EINVAL,
                "of the context only mark, priority, ingress_ifindex, ifindex, cb, tstamp, "
                "wire_len, gso_segs, gso_size and hwtstamp can be set");
  if (auto exists = check_interface(given.ifindex); !exists) return exists;
  auto& skb = as<__sk_buff>();
  skb.ifindex = kLoopback;
  if (auto described = describe(); !described) return described;
  if (given.wire_len == 0)
    skb.wire_len = ctx.empty() ? 0 : skb.len;
  else if (given.wire_len < skb.len || given.wire_len > kLongestWire)
    return fail(EINVAL, "wire_len is {}, allowed are 0 and {}..{}", given.wire_len, skb.len,
                kLongestWire);
  skb.gso_size = static_cast<uint16_t>(given.gso_size);
  if (given.gso_segs > kMostSegments)
    return fail(EINVAL, "gso_segs is {}, allowed are 0..{}", given.gso_segs, kMostSegments);
  point_to(CtxLoad::data, packet_.data() + (has_link_header() ? 0 : ETH_HLEN));
  point_to(CtxLoad::data_end, packet_.data() + packet_.size());
  point_to(CtxLoad::data_meta, packet_.data() + (has_link_header() ? 0 : ETH_HLEN));
  return {};
}

// A caller's struct says how many bytes of metadata stand before the packet (`data`), and where
// what the program sees of both ends (`data_end`); the rest is as if it were in fragments.
Result<void> PacketContext::take_xdp(std::span<const std::byte> ctx) {
  xdp_md given{};
  if (auto known = take_known(ctx, given, "xdp_md"); !known) return known;
  if (ctx.empty()) given.data_end = static_cast<uint32_t>(packet_.size());
  if (given.data_end > packet_.size())
    return fail(EINVAL, "data_end of the context is {}, there are {} bytes", given.data_end,
                packet_.size());
  if (given.data % 4 != 0 || given.data > kLongestMetadata || given.data > given.data_end)
    return fail(EINVAL,
                "data of the context, the size of the metadata, is {}: allowed are multiples of 4 "
                "up to {} and to data_end",
                given.data, kLongestMetadata);
  if (given.data_meta != 0 || given.egress_ifindex != 0)
    return fail(
        EINVAL,
        "of the context only data, data_end, ingress_ifindex and rx_queue_index can be set");
  if (auto exists = check_interface(given.ingress_ifindex); !exists) return exists;
  if (given.rx_queue_index != 0)
    return fail(EINVAL, "there is no receive queue {}: the loopback has only number 0",
                given.rx_queue_index);
  as<xdp_md>().ingress_ifindex = kLoopback;
  metadata_ = given.data;
  seen_ = given.data_end;
  point_to(CtxLoad::data, packet_.data() + metadata_);
  point_to(CtxLoad::data_end, packet_.data() + seen_);
  point_to(CtxLoad::data_meta, packet_.data());
  return {};
}

// Socket filters see what follows the link's header.
bool PacketContext::has_link_header() const { return type_ == ProgramType::sched_cls; }

// What the kernel finds in the packet itself.
Result<void> PacketContext::describe() {
  ethhdr header;
  std::memcpy(&header, packet_.data(), sizeof header);
  auto& skb = as<__sk_buff>();
  skb.len = static_cast<uint32_t>(packet_.size() - (has_link_header() ? 0 : ETH_HLEN));
  const bool is_type = std::byteswap(header.h_proto) >= ETH_P_802_3_MIN;
  skb.protocol = is_type ? header.h_proto : std::byteswap(uint16_t{ETH_P_802_2});
  const size_t network = packet_.size() - ETH_HLEN;
  if ((skb.protocol == std::byteswap(uint16_t{ETH_P_IP}) && network < sizeof(iphdr)) ||
      (skb.protocol == std::byteswap(uint16_t{ETH_P_IPV6}) && network < sizeof(ipv6hdr)))
    return fail(EINVAL, "the packet ends inside its IP header, after {} bytes", packet_.size());
  // The loopback's own address and its broadcast address are both zeros.
  if (std::ranges::all_of(header.h_dest, [](unsigned char byte) { return byte == 0; }))
    skb.pkt_type = PACKET_HOST;
  else
    skb.pkt_type = (header.h_dest[0] & 1) != 0 ? PACKET_MULTICAST : PACKET_OTHERHOST;
  return {};
}

void PacketContext::write_back(std::span<std::byte> ctx) const {
  if (type_ == ProgramType::xdp) {
    if (ctx.empty()) return;
    xdp_md result{};
    std::memcpy(&result, ctx.data(), std::min(ctx.size(), sizeof result));
    result.data = metadata_;
    result.data_end = seen_;
    std::memcpy(ctx.data(), &result, std::min(ctx.size(), sizeof result));
    return;
  }
  for (const Extent& field : kSkbResults)
    for (size_t at = field.from; at < std::min(field.from + field.size, ctx.size()); ++at)
      ctx[at] = memory_[at];
  if (!has_link_header()) std::ranges::fill(packet_.first(ETH_HLEN), std::byte{0});
}

}  // namespace uarena::jit
