// The format dialect of bpf_snprintf and bpf_trace_printk, and their results.
#include "jit/helpers/format.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "jit/helpers/functions.h"

namespace uarena::jit {
namespace {

// The text, or "error".
std::string formatted(std::string_view format, std::vector<uint64_t> arguments = {}) {
  std::array<char, 256> room;
  static std::array<std::byte, 32> text{};  // the same address for each call
  std::memcpy(text.data(), "text", 5);
  text[16] = std::byte{127};
  text[19] = std::byte{1};
  RunContext run;
  std::vector<Handed> handed;
  for (const uint64_t argument : arguments) {
    const uint64_t offset = argument - 0xc0de0000;  // stands for the address of the text
    if (offset < text.size())
      handed.push_back({reinterpret_cast<uint64_t>(text.data()) + offset, text.size() - offset});
    else
      handed.push_back({argument, {}});
  }
  const int64_t length = format_text(room, format, handed, &run);
  if (length < 0) return length == -EINVAL ? "error" : "another error";
  EXPECT_EQ(static_cast<size_t>(length), std::strlen(room.data()));
  return room.data();
}

constexpr uint64_t kText = 0xc0de0000;
constexpr uint64_t kAddress4 = 0xc0de0010;

TEST(Format, Integers) {
  const auto minus = static_cast<uint64_t>(-5);
  EXPECT_EQ(formatted("%d %i %u", {minus, minus, minus}), "-5 -5 4294967291");
  EXPECT_EQ(formatted("%ld %lli %lu", {minus, minus, minus}), "-5 -5 18446744073709551611");
  EXPECT_EQ(formatted("%x %X %lx", {0xabc, 0xabc, ~uint64_t{0}}), "abc ABC ffffffffffffffff");
  EXPECT_EQ(formatted("%d", {uint64_t{1} << 32}), "0");
  EXPECT_EQ(formatted("%ld", {uint64_t{1} << 63}), "-9223372036854775808");
  EXPECT_EQ(formatted("[%5d] [%-5d] [%05d] [%+d] [% d]", {42, 42, minus, 42, 42}),
            "[   42] [42   ] [-0005] [+42] [ 42]");
  EXPECT_EQ(formatted("100%% of %c%c", {'o', 'k'}), "100% of ok");
  EXPECT_EQ(formatted(""), "");
  EXPECT_EQ(formatted("a\tb\n"), "a\tb\n");
}

TEST(Format, StringsAndAddresses) {
  EXPECT_EQ(formatted("%s|%8s|%-8s|%pks", {kText, kText, kText, kText}),
            "text|    text|text    |text");
  EXPECT_EQ(formatted("<%s>", {0x123456789abc}), "<>");  // nobody's
  EXPECT_EQ(formatted("%pI4 %pi4", {kAddress4, kAddress4}), "127.0.0.1 127.000.000.001");
  EXPECT_EQ(formatted("%pI6", {kAddress4}), "7f00:0001:0000:0000:0000:0000:0000:0000");
  EXPECT_EQ(formatted("%pi6", {kAddress4}), "7f000001000000000000000000000000");
  EXPECT_EQ(formatted("%p", {0}), "0000000000000000");
}

// An address of the broker's own is the same each time, and not itself.
TEST(Format, AddressesAreDisguised) {
  const std::string one = formatted("%p", {0x7f1234567890});
  EXPECT_EQ(one.size(), 16U);
  EXPECT_EQ(one, formatted("%px", {0x7f1234567890}));
  EXPECT_NE(one, "00007f1234567890");
  EXPECT_NE(one, formatted("%p", {0x7f1234567898}));
}

TEST(Format, PointersOfTheProgramAreDisguisedInEveryForm) {
  const std::string shown = formatted("%lx", {kText});
  EXPECT_EQ(formatted("%p", {kText}), std::string(16 - shown.size(), '0') + shown);
  EXPECT_EQ(formatted("%x", {kText}), shown);
  EXPECT_EQ(formatted("%d", {kText}),
            std::to_string(static_cast<int32_t>(std::stoul(shown, nullptr, 16))));
  EXPECT_LE(shown.size(), 8U);
}

TEST(Format, WhatIsNotAllowed) {
  for (const char* format : {"%", "%z", "%.3d", "%hd", "%f", "%n", "%pz", "%pi5", "%l", "%ls",
                             "%*d", "\x80", "\x01", "%5"})
    EXPECT_EQ(formatted(format, {1, 1}), "error") << format;
  EXPECT_EQ(formatted("%d %d", {1}), "error");
}

TEST(Format, RoomMayBeShort) {
  std::array<char, 4> room;
  RunContext run;
  const Handed argument[] = {{123456, {}}};
  EXPECT_EQ(format_text(room, "%d", argument, &run), 6);
  EXPECT_STREQ(room.data(), "123");
  EXPECT_EQ(format_text({}, "%100000000d", argument, &run), (1 << 23) - 1);
}

TEST(Snprintf, CountsTheNulAndChecksItsData) {
  std::array<char, 16> to;
  RunContext run;
  const std::array<uint64_t, 2> data = {1, 2};
  const auto call = [&](const char* format, uint64_t address, uint64_t bytes) {
    return static_cast<int64_t>(helpers::snprintf(reinterpret_cast<uint64_t>(to.data()), to.size(),
                                                  reinterpret_cast<uint64_t>(format), address,
                                                  bytes, &run));
  };
  const auto where = reinterpret_cast<uint64_t>(data.data());
  EXPECT_EQ(call("%d-%d", where, 16), 4);
  EXPECT_STREQ(to.data(), "1-2");
  EXPECT_EQ(call("%d-%d", where, 8), -EINVAL);
  EXPECT_EQ(call("%d", where, 7), -EINVAL);
  EXPECT_EQ(call("%d", where, 13 * 8), -EINVAL);
  EXPECT_EQ(call("%d", 0, 8), -EINVAL);
  EXPECT_EQ(call("none", 0, 0), 5);
}

TEST(TracePrintk, WantsItsNul) {
  RunContext run;
  const auto call = [&](const char* format, uint64_t size) {
    return static_cast<int64_t>(
        helpers::trace_printk(reinterpret_cast<uint64_t>(format), size, 1, 2, 3, &run));
  };
  EXPECT_EQ(call("%d %d %d", 9), 5);
  EXPECT_EQ(call("%d %d %d", 8), -EINVAL);
  EXPECT_EQ(call("%d %d %d %d", 12), -EINVAL);
}

}  // namespace
}  // namespace uarena::jit
