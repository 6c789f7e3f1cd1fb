#include "ipc/client/preferences.h"

#include <gtest/gtest.h>

namespace uarena::ipc {
namespace {

TEST(Preferences, Words) {
  EXPECT_EQ(*parse_preferences(""), Preferences{});
  EXPECT_EQ(*parse_preferences("direct"), (Preferences{{UARENA_FAULT_DIRECT, 0}, false, false}));
  EXPECT_EQ(*parse_preferences("fault-around=512,exact,user-mode-only"),
            (Preferences{{UARENA_FAULT_SERVED, 512}, true, true}));
  EXPECT_EQ(*parse_preferences("fault-around=auto"),
            (Preferences{{UARENA_FAULT_SERVED, UARENA_FAULT_AROUND_AUTO}, false, false}));
  EXPECT_EQ(*parse_preferences("exact,"), (Preferences{{}, true, false}));
}

TEST(Preferences, WhatIsNone) {
  for (const char* words : {"exactly", "exact,,", "exact direct", " exact", "fault-around",
                            "fault-around=", "fault-around=0", "fault-around=513",
                            "fault-around=4x", "fault-around=-1", "direct,DIRECT"}) {
    const auto preferences = parse_preferences(words);
    ASSERT_FALSE(preferences) << words;
    EXPECT_EQ(preferences.error().code, EINVAL) << words;
    EXPECT_EQ(preferences.error().why, Why::usage) << words;
  }
  EXPECT_NE(parse_preferences("a\nb").error().message.find(R"("a\x0ab")"), std::string::npos);
}

}  // namespace
}  // namespace uarena::ipc
