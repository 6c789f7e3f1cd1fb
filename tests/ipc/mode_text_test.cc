#include "ipc/mode_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace uarena::ipc {
namespace {

TEST(ModeText, Reads) {
  EXPECT_EQ(mode_text(0xfff), "rwxl rwxl rwxl");
  EXPECT_EQ(mode_text(0), "---- ---- ----");
  EXPECT_EQ(mode_text(0xfe8), "rwxl rwx- r---");
  EXPECT_EQ(mode_text(0x421), "-w-- --x- ---l");
}

TEST(ModeText, ChangesWhatIsNamed) {
  EXPECT_EQ(changed_mode(0, "u=rwxl,g=rwx,o=r").value(), 0xfe8u);
  EXPECT_EQ(changed_mode(0xfff, "o=").value(), 0xff0u);
  EXPECT_EQ(changed_mode(0xfff, "go-wx,g+w").value(), 0xfd9u);
  EXPECT_EQ(changed_mode(0x000, "a+r").value(), 0x888u);
  EXPECT_EQ(changed_mode(0x000, "+r").value(), 0x888u);
  EXPECT_EQ(changed_mode(0xfff, "=r").value(), 0x888u);
  EXPECT_EQ(changed_mode(0x123, "u+").value(), 0x123u);
}

TEST(ModeText, SaysWhatIsAllowed) {
  for (const char* text :
       {"", "rwx", "0640", "u", "u=rwz", "u=r,", ",", "x=r", "u=r g=r", "u==r"}) {
    const auto mode = changed_mode(0xfff, text);
    ASSERT_FALSE(mode) << text;
    EXPECT_EQ(mode.error().code, EINVAL);
    EXPECT_EQ(mode.error().why, Why::usage);
    EXPECT_THAT(mode.error().message, ::testing::HasSubstr("allowed are clauses like u=rwxl,g+r"));
  }
  EXPECT_THAT(changed_mode(0, "\x1b[31m").error().message,
              ::testing::StartsWith("mode \\x1b[31m:"));
}

}  // namespace
}  // namespace uarena::ipc
