// FreeSet: the kernel's measured orders (K36), and random operations against a naive model.
#include "broker/free_set.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/broker/naive_free_model.h"

namespace uarena::broker {
namespace {

FreeSet whole(uint32_t pages) {
  FreeSet set;
  set.restore({{0, pages}, 1});
  return set;
}

// What `pages` allocations of one page give.
std::vector<uint32_t> allocate_singles(FreeSet& set, unsigned count) {
  std::vector<uint32_t> got;
  for (unsigned i = 0; i < count; ++i) {
    got.push_back(set.find(1).value());
    set.take({got.back(), 1});
  }
  return got;
}

TEST(FreeSet, FreshArenaIsSequential) {
  FreeSet set = whole(8);
  EXPECT_EQ(allocate_singles(set, 8), (std::vector<uint32_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(set.find(1), std::nullopt);
  EXPECT_EQ(set.free_pages(), 0U);
}

TEST(FreeSet, EqualGapsComeBackLastFreedFirst) {
  for (const std::vector<uint32_t>& freed :
       {std::vector<uint32_t>{2, 6, 10, 14}, std::vector<uint32_t>{10, 2, 14, 6}}) {
    FreeSet set = whole(16);
    set.take({0, 16});
    for (const uint32_t page : freed) set.release({page, 1});
    EXPECT_EQ(allocate_singles(set, 4), std::vector<uint32_t>(freed.rbegin(), freed.rend()));
  }
}

TEST(FreeSet, SmallestThatFits) {
  FreeSet set = whole(32);
  set.take({0, 32});
  set.release({0, 5});
  set.release({10, 2});
  set.release({20, 3});
  EXPECT_EQ(set.find(2), 10U);
  EXPECT_EQ(set.find(3), 20U);
  EXPECT_EQ(set.find(4), 0U);
  EXPECT_EQ(set.find(6), std::nullopt);
}

TEST(FreeSet, RightPartOfASplitIsTheNewest) {
  FreeSet set = whole(9);
  const FreeSet::Change change = set.take({4, 1});  // 0-3 and 5-8
  ASSERT_EQ(change.inserted_count, 2U);
  EXPECT_EQ(change.inserted[0].pages, (PageRange{0, 4}));
  EXPECT_EQ(change.inserted[1].pages, (PageRange{5, 4}));
  EXPECT_EQ(set.find(1), 5U);
}

TEST(FreeSet, DoubleFreeLeavesTheOrder) {
  FreeSet set = whole(8);
  set.take({0, 8});
  set.release({0, 2});
  set.release({4, 2});
  for (const PageRange again : {PageRange{1, 1}, PageRange{0, 2}}) {
    EXPECT_EQ(set.release(again).inserted_count, 0U);
    EXPECT_EQ(set.find(1), 4U);
  }
  EXPECT_EQ(set.free_pages(), 4U);
}

TEST(FreeSet, ReleaseNamesTheHeadItSwallowed) {
  FreeSet set = whole(10);
  set.take({2, 6});  // free: 0-1, 8-9
  FreeSet::Change change = set.release({6, 2});
  EXPECT_EQ(change.swallowed_head, 8U);
  ASSERT_EQ(change.inserted_count, 1U);
  EXPECT_EQ(change.inserted[0].pages, (PageRange{6, 4}));
  change = set.release({2, 1});
  EXPECT_EQ(change.swallowed_head, std::nullopt);
  EXPECT_EQ(change.inserted[0].pages, (PageRange{0, 3}));
}

std::vector<PageRange> by_age(const FreeSet& set) {
  std::vector<FreeExtent> extents = set.extents();
  std::ranges::sort(extents, {}, &FreeExtent::seq);
  std::vector<PageRange> pages;
  for (const FreeExtent& extent : extents) pages.push_back(extent.pages);
  return pages;
}

RC_GTEST_PROP(FreeSetProperty, PlacesAsTheNaiveModel, ()) {
  const auto pages = *rc::gen::inRange<uint32_t>(1, 48);
  FreeSet set = whole(pages);
  NaiveFreeModel model(pages);
  const auto steps = *rc::gen::inRange(1, 60);
  for (int step = 0; step < steps; ++step) {
    const auto first = *rc::gen::inRange<uint32_t>(0, pages);
    const auto count = *rc::gen::inRange<uint32_t>(1, std::min(pages - first, 8U) + 1);
    switch (*rc::gen::inRange(0, 3)) {
      case 0:  // anywhere
        RC_ASSERT(set.find(count) == model.find(count));
        if (const auto found = set.find(count)) {
          set.take({*found, count});
          model.take({*found, count});
        }
        break;
      case 1:  // at an address
        RC_ASSERT(set.contains({first, count}) == model.all_free({first, count}));
        if (set.contains({first, count})) {
          set.take({first, count});
          model.take({first, count});
        }
        break;
      default:
        set.release({first, count});
        model.release({first, count});
    }
    RC_ASSERT(by_age(set) == model.extents());
    RC_ASSERT(set.free_pages() == model.free_pages());
  }
  // A set that is rebuilt from its extents is the same set.
  FreeSet rebuilt;
  for (const FreeExtent& extent : set.extents()) rebuilt.restore(extent);
  RC_ASSERT(rebuilt.extents() == set.extents());
  for (uint32_t count = 1; count <= pages; ++count)
    RC_ASSERT(rebuilt.find(count) == set.find(count));
}

}  // namespace
}  // namespace uarena::broker
