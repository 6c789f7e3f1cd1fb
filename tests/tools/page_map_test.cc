// The picture of an arena, on made-up extents.
#include "tools/uarena/page_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/tools/captured_output.h"
#include "tools/uarena/text.h"

namespace uarena::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kBase = 0x7e9000000000;

std::string draw(const PageMapInput& input, const Style& style) {
  CapturedOutput captured(style);
  return draw_page_map(input, captured.output);
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

// Columns that a terminal needs for the line: code points, without colour.
size_t columns(const std::string& line) {
  size_t count = 0;
  for (size_t i = 0; i < line.size(); i++) {
    if (line[i] == '\x1b')
      i = line.find('m', i);
    else if ((static_cast<unsigned char>(line[i]) & 0xc0) != 0x80)
      count++;
  }
  return count;
}

TEST(PageMap, SmallArenaAsLetters) {
  PageMapInput input{"heap",
                     kBase,
                     16,
                     {{0, 3, UARENA_ORIGIN_PROGRAM, 0},
                      {5, 2, UARENA_ORIGIN_FAULT, 0},
                      {7, 1, UARENA_ORIGIN_CLIENT, 0},
                      {15, 1, UARENA_ORIGIN_RESERVED, 0}}};
  EXPECT_EQ(draw(input, {}),
            "heap  0x7e9000000000  16 pages (64 KiB), a cell is 1 page\n"
            "0x7e9000000000 PPP..FFC.......R\n"
            "letters: P program F fault C client R reserved, . free\n"
            "6 pages in 4 extents: program 3, fault 2, client 1, and 1 reserved, 9 free\n");
}

TEST(PageMap, EmptyArenaIsOneGap) {
  PageMapInput input{"heap", kBase, 1048576, {}};
  EXPECT_EQ(draw(input, {}),
            "heap  0x7e9000000000  1,048,576 pages (4 GiB), a cell is 1 page\n"
            "               ... 1,048,576 pages free ...\n"
            "letters: P program F fault C client R reserved, . free\n"
            "0 pages in 0 extents: program 0, fault 0, client 0, and 0 reserved, 1,048,576 free\n");
}

TEST(PageMap, SparseArenaShowsOnlyRowsThatHoldSomething) {
  PageMapInput input{"heap",
                     kBase,
                     1048576,
                     {{3, 1, UARENA_ORIGIN_PROGRAM, 0}, {1048575, 1, UARENA_ORIGIN_FAULT, 0}}};
  auto picture = lines(draw(input, {.utf8 = true}));
  ASSERT_EQ(picture.size(), 6u);
  EXPECT_THAT(picture[1], testing::StartsWith("0x7e9000000000 ···P··"));
  EXPECT_THAT(picture[2], HasSubstr("… 1,048,448 pages free …"));
  EXPECT_THAT(picture[3], testing::StartsWith("0x7e90fffc0000 "));
  EXPECT_THAT(picture[3], testing::EndsWith("·F"));
}

TEST(PageMap, FullArenaIsScaledToFewRows) {
  PageMapInput input{"heap", kBase, 1048576, {{0, 1048576, UARENA_ORIGIN_FAULT, 0}}};
  std::string picture = draw(input, {});
  EXPECT_LE(lines(picture).size(), kMostRows + 3);
  EXPECT_THAT(picture, HasSubstr("a cell is 512 pages"));
  EXPECT_THAT(picture, Not(HasSubstr("0x7e9000000000 .")));
  EXPECT_THAT(picture, Not(HasSubstr("pages free ...")));
  EXPECT_THAT(picture, HasSubstr("1,048,576 pages in 1 extent:"));
}

TEST(PageMap, ScatteredPagesAreScaledAndPartlyFull) {
  PageMapInput input{"heap", kBase, 1048576, {}};
  for (uint32_t page = 0; page < 1048576; page += 512)
    input.extents.push_back({page, 1, UARENA_ORIGIN_CLIENT, 0});
  std::string picture = draw(input, {});
  EXPECT_LE(lines(picture).size(), kMostRows + 3);
  EXPECT_THAT(picture, HasSubstr("cccc"));
  EXPECT_THAT(picture, HasSubstr("lower case: partly taken"));
}

TEST(PageMap, EveryWidthFits) {
  PageMapInput input{"heap",
                     kBase,
                     1048576,
                     {{0, 5, UARENA_ORIGIN_PROGRAM, 0}, {70000, 4000, UARENA_ORIGIN_FAULT, 0}}};
  for (unsigned width : {24u, 40u, 79u, 80u, 100u, 143u, 200u, 1000u}) {
    for (bool utf8 : {false, true}) {
      for (bool colour : {false, true}) {
        Style style{.colour = colour, .utf8 = utf8, .width = width};
        for (const auto& line : lines(draw(input, style))) {
          if (!line.starts_with("0x7e90")) continue;
          EXPECT_LE(columns(line), width) << line;
        }
      }
    }
  }
  // Narrower than that, the least of eight cells is drawn.
  EXPECT_THAT(draw(input, {.width = 1}), HasSubstr("0x7e9000000000 p.......\n"));
}

TEST(PageMap, WideTerminalIsUsed) {
  PageMapInput input{"heap", kBase, 1048576, {{0, 1, UARENA_ORIGIN_PROGRAM, 0}}};
  EXPECT_EQ(columns(lines(draw(input, {.width = 80}))[1]), 15u + 64);
  EXPECT_EQ(columns(lines(draw(input, {.width = 143}))[1]), 15u + 128);
}

TEST(PageMap, ShadesAndColours) {
  PageMapInput input{"heap", kBase, 8 * 4, {{0, 4, UARENA_ORIGIN_PROGRAM, 0}}};
  std::string blocks = draw(input, {.colour = true, .utf8 = true});
  EXPECT_THAT(blocks, HasSubstr("0x7e9000000000 \x1b[32m████\x1b[0m····"));
  EXPECT_THAT(blocks, HasSubstr("colours: \x1b[32m█\x1b[0m program"));
  std::string ascii = draw(input, {.colour = true, .utf8 = false});
  EXPECT_THAT(ascii, HasSubstr("0x7e9000000000 \x1b[32m####\x1b[0m...."));
  for (char c : ascii) EXPECT_EQ(c & 0x80, 0) << ascii;
}

TEST(PageMap, ShadeRisesWithTheFill) {
  PageMapInput input{"heap", kBase, 1048576, {}};
  // Groups of 512 pages: from one page in the first cell to all of it in the fourth.
  uint32_t fills[] = {1, 200, 400, 512};
  for (uint32_t i = 0; i < 4; i++)
    input.extents.push_back({i * 512, fills[i], UARENA_ORIGIN_FAULT, 0});
  input.extents.push_back({8 * 512, 1048576 - 8 * 512, UARENA_ORIGIN_FAULT, 0});
  std::string picture = draw(input, {.colour = true, .utf8 = true});
  EXPECT_THAT(picture, HasSubstr("0x7e9000000000 \x1b[36m░▒▓█\x1b[0m····"));
}

TEST(PageMap, MostPagesDecideTheOriginOfACell) {
  PageMapInput input{"heap", kBase, 1048576, {}};
  input.extents.push_back({0, 100, UARENA_ORIGIN_PROGRAM, 0});
  input.extents.push_back({100, 412, UARENA_ORIGIN_CLIENT, 0});
  input.extents.push_back({512, 1048064, UARENA_ORIGIN_FAULT, 0});
  EXPECT_THAT(draw(input, {}), HasSubstr("0x7e9000000000 CFFF"));
}

TEST(PageMap, WrongExtentsStayInThePicture) {
  PageMapInput input{"heap",
                     kBase,
                     16,
                     {{12, 100, UARENA_ORIGIN_PROGRAM, 0},
                      {4000000000, 4000000000, UARENA_ORIGIN_FAULT, 0},
                      {1, 1, 77, 0}}};
  std::string picture = draw(input, {});
  EXPECT_THAT(picture, HasSubstr("0x7e9000000000 .?..........PPPP\n"));
}

TEST(PageMap, LastRowEndsWithTheArena) {
  PageMapInput input{"heap", kBase, 70, {{69, 1, UARENA_ORIGIN_PROGRAM, 0}}};
  auto picture = lines(draw(input, {}));
  EXPECT_EQ(picture[1], "               ... 64 pages free ...");
  EXPECT_EQ(picture[2], "0x7e9000040000 .....P");
}

}  // namespace
}  // namespace uarena::cli
