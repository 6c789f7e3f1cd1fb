// `page dump`: lines, folds, absent pages.
#include "tools/uarena/hex_dump.h"

#include <gtest/gtest.h>

namespace uarena::cli {
namespace {

constexpr uint64_t kBase = 0x7e9000000000;

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(HexDump, LooksLikeXxd) {
  HexDump dump;
  std::string out = dump.bytes(kBase, bytes(std::string("Hello, arena!\n\0\xff", 16)));
  out += dump.bytes(kBase + 16, bytes("end"));
  EXPECT_EQ(out + dump.finish(),
            "7e9000000000: 4865 6c6c 6f2c 2061 7265 6e61 210a 00ff  Hello, arena!...\n"
            "7e9000000010: 656e 64                                  end\n");
}

TEST(HexDump, RepeatedLinesAreFolded) {
  HexDump dump;
  std::string zeros(64, '\0');
  std::string out = dump.bytes(0, bytes(zeros));
  out += dump.bytes(64, bytes(zeros));
  out += dump.finish();
  EXPECT_EQ(out,
            "000000000000: 0000 0000 0000 0000 0000 0000 0000 0000  ................\n"
            "*\n"
            "000000000070: 0000 0000 0000 0000 0000 0000 0000 0000  ................\n");
}

TEST(HexDump, TwoEqualLinesAreNoFold) {
  HexDump dump;
  std::string out = dump.bytes(0, bytes(std::string(32, 'a')));
  out += dump.bytes(32, bytes("b"));
  out += dump.finish();
  EXPECT_EQ(out,
            "000000000000: 6161 6161 6161 6161 6161 6161 6161 6161  aaaaaaaaaaaaaaaa\n"
            "000000000010: 6161 6161 6161 6161 6161 6161 6161 6161  aaaaaaaaaaaaaaaa\n"
            "000000000020: 62                                       b\n");
}

TEST(HexDump, AbsentPagesEndAFoldAndAreNamed) {
  HexDump dump;
  std::string out = dump.bytes(kBase, bytes(std::string(4096, '\0')));
  out += dump.absent(kBase + 4096, 2 * 4096);
  out += dump.bytes(kBase + 3 * 4096, bytes(std::string(16, '\0')));
  out += dump.finish();
  EXPECT_EQ(out,
            "7e9000000000: 0000 0000 0000 0000 0000 0000 0000 0000  ................\n"
            "*\n"
            "7e9000000ff0: 0000 0000 0000 0000 0000 0000 0000 0000  ................\n"
            "7e9000001000: absent, 2 pages\n"
            "7e9000003000: 0000 0000 0000 0000 0000 0000 0000 0000  ................\n");
  // A range that begins and ends inside pages.
  EXPECT_EQ(HexDump().absent(kBase + 10, 20), "7e900000000a: absent, 1 page\n");
  EXPECT_EQ(HexDump().absent(kBase + 4095, 2), "7e9000000fff: absent, 2 pages\n");
}

TEST(HexDump, StretchesFollowPresence) {
  std::vector<uarena_page_extent> extents = {{1, 1, UARENA_ORIGIN_PROGRAM, 0},
                                             {2, 1, UARENA_ORIGIN_FAULT, 0},
                                             {3, 2, UARENA_ORIGIN_RESERVED, 0},
                                             {8, 1, UARENA_ORIGIN_CLIENT, 0}};
  using S = std::vector<Stretch>;
  EXPECT_EQ(stretches(extents, 0, 0xa000), (S{{0, 0x1000, false},
                                              {0x1000, 0x2000, true},
                                              {0x3000, 0x5000, false},
                                              {0x8000, 0x1000, true},
                                              {0x9000, 0x1000, false}}));
  EXPECT_EQ(stretches(extents, 0x1800, 0x100), (S{{0x1800, 0x100, true}}));
  EXPECT_EQ(stretches(extents, 0x3800, 0x100), (S{{0x3800, 0x100, false}}));
  EXPECT_EQ(stretches({}, 5, 7), (S{{5, 7, false}}));
}

TEST(HexDump, HexBytes) {
  EXPECT_EQ(hex_bytes(bytes(std::string("\0\xff\x10", 3))), "00ff10");
  EXPECT_EQ(hex_bytes({}), "");
}

}  // namespace
}  // namespace uarena::cli
