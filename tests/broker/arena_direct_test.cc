// Arenas whose clients' faults are direct: the second mapping is a client that touches pages, of
// which the arena hears nothing, and no store of it may ever be lost.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <set>
#include <thread>

#include "tests/broker/arena_fixture.h"

namespace uarena::broker {
namespace {

using Extents = std::vector<PageExtent>;

TestArena direct(uint32_t pages) {
  return TestArena(pages, 0, kTestStart, {.way = FaultWay::direct});
}

TEST(ArenaDirect, IsPaidForAtOnce) {
  TestArena arena = direct(100);
  const auto used = [&] { return arena.account().used(Resource::pages); };
  EXPECT_EQ(used(), 100u);
  EXPECT_EQ(arena.alloc(60), 0);
  EXPECT_EQ(arena.reserve(60, 10), 0);
  arena.byte(61) = 1;
  arena.byte(80) = 1;
  EXPECT_EQ(arena->prefault(arena.address(90), 5 * kPageSize).value(), 5u);
  arena->extents();
  EXPECT_EQ(used(), 100u);
  arena.free(0, 100);
  EXPECT_EQ(used(), 100u);
  EXPECT_EQ(arena.blocks(), 0u);
}

TEST(ArenaDirect, ATouchedPageIsTheClients) {
  TestArena arena = direct(16);
  arena.byte(3) = 7;
  EXPECT_EQ(arena.allocated(), 1u) << "before anybody has looked";
  EXPECT_EQ(arena.alloc_at(3), -1);
  EXPECT_EQ(arena.alloc_at(2, 3), -1);
  EXPECT_EQ(arena.reserve(0, 16), -EBUSY);
  EXPECT_EQ(arena->extents(), (Extents{{{3, 1}, Origin::client}}));
  EXPECT_EQ(arena.allocated(), 1u);
  EXPECT_EQ(arena.blocks(), 1u) << "nothing was made by what was refused";
  EXPECT_EQ(arena.byte(3), 7);
  arena.free(3);
  EXPECT_EQ(arena.alloc_at(2, 3), 2);
  EXPECT_EQ(arena.byte(3), 0);
}

// What refuses it is what a client has just done, not what we found when we looked once.
TEST(ArenaDirect, TouchesAreSeenAtEachStep) {
  for (const uint32_t count : {1u, 2u}) {
    TestArena arena = direct(8);
    EXPECT_EQ(arena->extents(), Extents{});
    arena.byte(4) = 1;
    EXPECT_EQ(arena.alloc_at(4, count), -1) << count;
    arena.byte(6) = 1;
    EXPECT_EQ(arena.reserve(6, 1), -EBUSY);
    EXPECT_EQ(arena.alloc(4), 0);
    EXPECT_EQ(arena.alloc(2), -1);
    EXPECT_EQ((std::set{arena.alloc(), arena.alloc()}), (std::set<int64_t>{5, 7}));
    EXPECT_EQ(arena.alloc(), -1);
  }
}

TEST(ArenaDirect, AnAllocationFindsTheGaps) {
  constexpr uint32_t kPages = 40'000;
  TestArena arena = direct(kPages);
  for (uint32_t page = 0; page < kPages - 3; page += 2) arena.byte(page) = 1;
  EXPECT_EQ(arena.alloc(3), kPages - 3) << "behind all of them";
  EXPECT_EQ(arena.alloc(2), -1) << "no gap has two";
  EXPECT_EQ(arena.alloc() % 2, 1);
  EXPECT_EQ(arena.blocks(), arena.allocated());
  EXPECT_EQ(arena.allocated(), kPages / 2 - 1 + 3 + 1);
}

TEST(ArenaDirect, AReservedPageThatAClientTouchesIsItsOwn) {
  TestArena arena = direct(8);
  ASSERT_EQ(arena.reserve(0, 8), 0);
  arena.byte(2) = 5;  // K29
  EXPECT_EQ(
      arena->extents(),
      (Extents{{{0, 2}, Origin::reserved}, {{2, 1}, Origin::client}, {{3, 5}, Origin::reserved}}));
  EXPECT_EQ(arena->counts().pages_reserved, 7u);
  EXPECT_EQ(arena.allocated(), 1u);
}

TEST(ArenaDirect, GlobalsDoNotOverwriteWhatAClientHas) {
  TestArena arena = direct(8);
  const std::vector<std::byte> bytes(2 * kPageSize, std::byte{9});
  arena.byte(1) = 3;
  const auto refused = arena->install_globals(0, bytes);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EBUSY);
  EXPECT_EQ(arena.byte(1), 3);
  EXPECT_TRUE(arena->install_globals(2 * kPageSize, bytes));
  EXPECT_EQ(arena.byte(3), 9);
}

// A client stores while programs allocate over its pages, fixed and anywhere: a store into a page
// that was somebody's by then, or its own, is there at the end. To give back a claim by punching,
// where the range turned out to be taken half-way, would lose some.
TEST(ArenaDirect, NoStoreIsLost) {
  constexpr uint32_t kPages = 3'000;
  TestArena arena = direct(kPages);
  std::atomic<bool> stored_all{false};
  std::thread client([&] {
    std::vector<uint32_t> order(kPages);
    for (uint32_t i = 0; i < kPages; ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), std::mt19937(1));
    for (const uint32_t page : order) arena.byte(page, page % kPageSize) = page % 251 + 1;
    stored_all = true;
  });
  std::mt19937 random(2);
  int made = 0, refused = 0;
  do {
    const uint32_t count = 1 + random() % 40;
    const bool anywhere = random() % 4 == 0;
    const int64_t got =
        anywhere ? arena.alloc(count % 3 + 1) : arena.alloc_at(random() % (kPages - count), count);
    ++(got >= 0 ? made : refused);
  } while (!stored_all);
  client.join();
  EXPECT_GT(made + refused, 0);
  for (uint32_t page = 0; page < kPages; ++page)
    ASSERT_EQ(arena.byte(page, page % kPageSize), page % 251 + 1) << "page " << page;
  EXPECT_EQ(arena.blocks(), kPages);
  uint32_t known = 0;
  for (const PageExtent& extent : arena->extents()) known += extent.pages.count;
  EXPECT_EQ(known, kPages);
}

// A page goes to one of them: what an allocation returns no client had touched before, so it is
// zero but for what clients store afterwards.
TEST(ArenaDirect, AClaimedPageIsClaimedOnce) {
  constexpr uint32_t kPages = 2'000;
  TestArena arena = direct(kPages);
  std::vector<std::atomic<bool>> taken(kPages);
  std::atomic<bool> twice{false};
  const auto program = [&] {
    for (int64_t page = 0; (page = arena.alloc()) >= 0;)
      if (taken[static_cast<size_t>(page)].exchange(true)) twice = true;
  };
  std::thread one(program), two(program);
  for (uint32_t page = kPages; page-- > 0;) arena.byte(page, 8) = 1;
  one.join();
  two.join();
  EXPECT_FALSE(twice);
  EXPECT_EQ(arena.blocks(), kPages);
  EXPECT_EQ(arena.alloc(), -1);
}

}  // namespace
}  // namespace uarena::broker
