// Nodes that an allocation may name (K34).
#include "broker/numa.h"

#include <gtest/gtest.h>

#include <climits>

namespace uarena::broker {
namespace {

TEST(Numa, ParsesTheKernelsLists) {
  EXPECT_EQ(parse_node_list("0"), (std::vector<bool>{true}));
  EXPECT_EQ(parse_node_list("0-2"), (std::vector<bool>{true, true, true}));
  EXPECT_EQ(parse_node_list("0,2"), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(parse_node_list("1-2,4"), (std::vector<bool>{false, true, true, false, true}));
}

TEST(Numa, AnythingElseIsNoList) {
  for (const char* text : {"", "x", "0-", "2-1", "0;1", "-1", "99999999", "0-99999", "0 "})
    EXPECT_TRUE(parse_node_list(text).empty()) << text;
}

TEST(Numa, MinusOneAndOnlineNodes) {
  EXPECT_TRUE(node_allowed(-1));
  EXPECT_TRUE(node_allowed(0));
  EXPECT_FALSE(node_allowed(-2));
  EXPECT_FALSE(node_allowed(1023));
  EXPECT_FALSE(node_allowed(INT_MAX));
  EXPECT_FALSE(node_allowed(INT_MIN));
}

}  // namespace
}  // namespace uarena::broker
