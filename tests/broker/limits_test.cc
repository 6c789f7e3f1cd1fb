#include "broker/limits.h"

#include <gtest/gtest.h>

#include <array>

namespace uarena::broker {
namespace {

constexpr auto kPages = static_cast<size_t>(Resource::pages);
constexpr auto kArenas = static_cast<size_t>(Resource::arenas);
constexpr std::array<gid_t, 3> kGroups = {10, 20, 30};

TEST(Limits, NothingSaidIsNoLimit) {
  for (const uint64_t amount : LimitTable{}.of(1000, kGroups)) EXPECT_EQ(amount, kUnlimited);
}

TEST(Limits, TheNearestWordCounts) {
  LimitTable table;
  table.everybody[kPages] = 100;
  EXPECT_EQ(table.of(1000, kGroups)[kPages], 100U);
  table.groups[20][kPages] = 50;  // less than everybody's, and said of the group all the same
  EXPECT_EQ(table.of(1000, kGroups)[kPages], 50U);
  EXPECT_EQ(table.of(1000, {})[kPages], 100U);
  table.groups[30][kPages] = 70;
  EXPECT_EQ(table.of(1000, kGroups)[kPages], 70U) << "the largest of the groups'";
  table.groups[40][kPages] = 1000;
  EXPECT_EQ(table.of(1000, kGroups)[kPages], 70U) << "not a member";
  table.users[1000][kPages] = 0;
  EXPECT_EQ(table.of(1000, kGroups)[kPages], 0U);
  EXPECT_EQ(table.of(1001, kGroups)[kPages], 70U);
}

TEST(Limits, EachResourceForItself) {
  LimitTable table;
  table.everybody[kPages] = 100;
  table.everybody[kArenas] = 5;
  table.users[1000][kArenas] = kUnlimited;
  EXPECT_EQ(table.of(1000, {})[kPages], 100U);
  EXPECT_EQ(table.of(1000, {})[kArenas], kUnlimited);
}

}  // namespace
}  // namespace uarena::broker
