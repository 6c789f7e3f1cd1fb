// Numbers read from arguments and written for people.
#include "tools/uarena/text.h"

#include <gtest/gtest.h>

namespace uarena::cli {
namespace {

TEST(Text, NumbersAreDecimalOrHex) {
  EXPECT_EQ(parse_number("--pages", "1", 1, 1048576).value(), 1u);
  EXPECT_EQ(parse_number("--pages", "0x100000", 1, 1048576).value(), 1048576u);
  EXPECT_EQ(parse_number("--addr", "0xffffffffffffffff", 0, UINT64_MAX).value(), UINT64_MAX);
}

TEST(Text, BadNumbersNameTheBounds) {
  for (const char* bad : {"0", "1048577", "", "x", "-1", "+1", " 1", "1 ", "1K", "0x", "0xg", "1.0",
                          "18446744073709551616", "99999999999999999999999"}) {
    auto number = parse_number("--pages", bad, 1, 1048576);
    ASSERT_FALSE(number.has_value()) << bad;
    EXPECT_EQ(number.error().code, EINVAL);
    EXPECT_EQ(number.error().why, Why::usage);
    EXPECT_TRUE(number.error().message.ends_with(": allowed are 1..1048576"))
        << number.error().message;
  }
  EXPECT_EQ(parse_number("--pages", "0", 1, 1048576).error().message,
            "--pages 0: allowed are 1..1048576");
  EXPECT_EQ(parse_number("--pages", "", 1, 2).error().message, "--pages \"\": allowed are 1..2");
  EXPECT_EQ(parse_number("--pages", "\x1b[2J", 1, 2).error().message,
            "--pages \\x1b[2J: allowed are 1..2");
}

TEST(Text, Ranges) {
  auto range = parse_range("--range", "0x1000:16", 0x2000);
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->offset, 0x1000u);
  EXPECT_EQ(range->length, 16u);
  EXPECT_TRUE(parse_range("--range", "0:0x2000", 0x2000).has_value());
  EXPECT_TRUE(parse_range("--range", "0x1fff:1", 0x2000).has_value());
  for (const char* bad : {"", ":", "1", "1:", ":1", "0:0", "0x2000:1", "1:0x2000", "0:0x2001",
                          "1:0xffffffffffffffff", "1:2:3", "a:b"}) {
    auto wrong = parse_range("--range", bad, 0x2000);
    ASSERT_FALSE(wrong.has_value()) << bad;
    EXPECT_EQ(wrong.error().why, Why::usage);
  }
  EXPECT_EQ(parse_range("--range", "9", 0x2000).error().message,
            "--range 9: allowed are OFF:LEN in bytes with OFF below 0x2000 and LEN 1..0x2000-OFF");
}

TEST(Text, NamesFollowTheWireRule) {
  EXPECT_EQ(parse_name("NAME", "heap_1.a-B").value(), "heap_1.a-B");
  EXPECT_TRUE(parse_name("NAME", std::string(63, 'a')).has_value());
  for (const std::string& bad : {std::string(), std::string(64, 'a'), std::string("a b"),
                                 std::string("a/b"), std::string("\xc3\xa4"), std::string(1, '\0')})
    EXPECT_EQ(parse_name("NAME", bad).error().why, Why::usage) << bad;
  EXPECT_EQ(parse_name("NAME", "a\nb").error().message,
            "NAME \"a\\x0ab\": allowed are 1..63 characters of A-Z a-z 0-9 _ . -");
}

TEST(Text, NumbersForPeople) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1048576), "1,048,576");
  EXPECT_EQ(with_unit(0), "0 bytes");
  EXPECT_EQ(with_unit(4096), "4 KiB");
  EXPECT_EQ(with_unit(uint64_t{1} << 32), "4 GiB");
  EXPECT_EQ(with_unit(12 * 1024 + 512), "12.5 KiB");
  EXPECT_EQ(duration(83), "83 ns");
  EXPECT_EQ(duration(1250), "1.25 us");
  EXPECT_EQ(duration(3000000000), "3.00 s");
  EXPECT_EQ(counted(1, "page"), "1 page");
  EXPECT_EQ(counted(0, "page"), "0 pages");
  EXPECT_EQ(counted(2000, "page"), "2,000 pages");
  EXPECT_EQ(hex(0x7e9000000000), "0x7e9000000000");
}

TEST(Text, PeersCantDriveTheTerminal) {
  EXPECT_EQ(printable("a\tb\n\"\\"), "a\tb\n\"\\");
  EXPECT_EQ(printable("\x1b[31m\r\x7f\xc2\x9b"), "\\x1b[31m\\x0d\\x7f\\xc2\\x9b");
}

}  // namespace
}  // namespace uarena::cli
