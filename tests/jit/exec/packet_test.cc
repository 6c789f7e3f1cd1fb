// Contexts of programs that look at packets: what is in them, what a caller may put there, and that
// a program reaches its packet and nothing else.
#include "jit/packet.h"

#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <array>
#include <cstring>

#include "tests/jit/exec/program_builder.h"

namespace uarena::jit {
namespace {

using Packet = std::array<std::byte, 64>;

Packet packet(std::initializer_list<int> destination = {2, 0, 0, 0, 0, 1}) {
  Packet bytes{};
  size_t at = 0;
  for (const int byte : destination) bytes[at++] = static_cast<std::byte>(byte);
  bytes[12] = std::byte{0x08};  // IPv4
  return bytes;
}

template <typename Struct>
Struct seen(PacketContext& context) {
  Struct copy;
  std::memcpy(&copy, context.memory().data(), sizeof copy);
  return copy;
}

TEST(PacketContext, DescribesThePacket) {
  Packet bytes = packet();
  auto tc = PacketContext::create(ProgramType::sched_cls, {}, bytes);
  ASSERT_TRUE(tc);
  const auto skb = seen<__sk_buff>(*tc);
  EXPECT_EQ(skb.len, 64U);
  EXPECT_EQ(skb.wire_len, 0U);       // of a context that was given it is the packet's
  EXPECT_EQ(skb.protocol, 0x0008U);  // in the order of the network
  EXPECT_EQ(skb.ifindex, 1U);
  EXPECT_EQ(skb.data, 0U);  // never an address
  EXPECT_EQ(skb.data_end, 0U);
  auto socket = PacketContext::create(ProgramType::socket_filter, {}, bytes);
  ASSERT_TRUE(socket);
  EXPECT_EQ(seen<__sk_buff>(*socket).len, 64U - ETH_HLEN);
}

TEST(PacketContext, KnowsForWhomItIs) {
  const auto type = [](std::initializer_list<int> destination) {
    Packet bytes = packet(destination);
    auto made = PacketContext::create(ProgramType::sched_cls, {}, bytes);
    return seen<__sk_buff>(*made).pkt_type;
  };
  EXPECT_EQ(type({0, 0, 0, 0, 0, 0}), uint32_t{PACKET_HOST});
  EXPECT_EQ(type({2, 0, 0, 0, 0, 1}), uint32_t{PACKET_OTHERHOST});
  EXPECT_EQ(type({1, 0, 0x5e, 0, 0, 1}), uint32_t{PACKET_MULTICAST});
  EXPECT_EQ(type({255, 255, 255, 255, 255, 255}), uint32_t{PACKET_MULTICAST});
}

TEST(PacketContext, TakesSomeFieldsAndGivesThemBack) {
  Packet bytes = packet();
  __sk_buff given{};
  given.mark = 7;
  given.cb[4] = 9;
  auto made =
      PacketContext::create(ProgramType::sched_cls, std::as_bytes(std::span(&given, 1)), bytes);
  ASSERT_TRUE(made);
  EXPECT_EQ(seen<__sk_buff>(*made).mark, 7U);
  __sk_buff back{};
  made->write_back(std::as_writable_bytes(std::span(&back, 1)));
  EXPECT_EQ(back.cb[4], 9U);
  EXPECT_EQ(back.wire_len, 64U);
  EXPECT_EQ(back.len, 0U) << "not given back";
  std::array<std::byte, 10> part{};
  made->write_back(part);
  EXPECT_EQ(part[8], std::byte{7});
}

TEST(PacketContext, RefusesAllOthers) {
  Packet bytes = packet();
  const auto refused = [&](ProgramType type, std::span<const std::byte> ctx,
                           std::span<std::byte> data, int code = EINVAL) {
    const auto made = PacketContext::create(type, ctx, data);
    return !made && made.error().code == code;
  };
  for (const uint32_t off : {offsetof(__sk_buff, len), offsetof(__sk_buff, data),
                             offsetof(__sk_buff, data_end), offsetof(__sk_buff, protocol)}) {
    std::array<std::byte, sizeof(__sk_buff)> ctx{};
    ctx[off] = std::byte{1};
    EXPECT_TRUE(refused(ProgramType::sched_cls, ctx, bytes)) << off;
  }
  for (const uint32_t off : {offsetof(xdp_md, data), offsetof(xdp_md, data_meta)}) {
    std::array<std::byte, sizeof(xdp_md)> ctx{};
    ctx[off] = std::byte{1};
    EXPECT_TRUE(refused(ProgramType::xdp, ctx, bytes)) << off;
  }
  EXPECT_TRUE(refused(ProgramType::xdp, {}, std::span(bytes).first(13)));
  EXPECT_FALSE(refused(ProgramType::xdp, {}, std::span(bytes).first(14)));
  EXPECT_TRUE(refused(ProgramType::sched_cls, {}, std::span(bytes).first(33)))
      << "half an IP header";
  EXPECT_TRUE(refused(ProgramType::xdp, {}, {}));
  std::array<std::byte, 256> large{};
  EXPECT_FALSE(refused(ProgramType::sched_cls, large, bytes));
  large.back() = std::byte{1};
  EXPECT_TRUE(refused(ProgramType::sched_cls, large, bytes, E2BIG));
  __sk_buff elsewhere{};
  elsewhere.ifindex = 2;
  EXPECT_TRUE(
      refused(ProgramType::sched_cls, std::as_bytes(std::span(&elsewhere, 1)), bytes, ENODEV));
}

class PacketRun : public testing::TestWithParam<Mode> {};

// data and data_end, as a program sees them, are the packet's bounds.
TEST_P(PacketRun, LoadsOfPointersAreTheRealOnes) {
  const auto insns = test::assemble_or_die(fmt::format(
      "r2 = *(u32 *)(r1 +{})\n"
      "r3 = *(u32 *)(r1 +{})\n"
      "r4 = *(u32 *)(r1 +{})\n"
      "r0 = r3\n"
      "r0 -= r2\n"
      "if r4 != r2 goto pc+1\n"
      "*(u8 *)(r2 +63) = 5\n"
      "exit\n",
      offsetof(__sk_buff, data), offsetof(__sk_buff, data_end), offsetof(__sk_buff, data_meta)));
  std::vector<InsnFacts> facts(insns.size(), InsnFacts{.reached = true});
  const CtxLoad loads[] = {CtxLoad::data, CtxLoad::data_end, CtxLoad::data_meta};
  for (size_t n = 0; n < 3; ++n) {
    facts[n].region = Region::ctx;
    facts[n].ctx_load = loads[n];
  }
  facts[6].region = Region::packet;
  auto fixed = fix_up(VerifiedProgramTestPeer::make(insns, facts, sizeof(__sk_buff)), Binding{});
  Packet bytes = packet();
  auto context = PacketContext::create(ProgramType::sched_cls, {}, bytes);
  ASSERT_TRUE(context);
  RunContext run;
  EXPECT_EQ(executable(std::move(fixed), GetParam())->run(context->memory(), run), 64U);
  EXPECT_EQ(bytes[63], std::byte{5});
}

INSTANTIATE_TEST_SUITE_P(Executors, PacketRun, testing::Values(Mode::interpret, Mode::compile),
                         [](const auto& param) {
                           return param.param == Mode::compile ? "Compiler" : "Interpreter";
                         });

}  // namespace
}  // namespace uarena::jit
