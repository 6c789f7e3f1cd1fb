// Fault-around on an arena, with a `make` that does what a client's descriptor would, or fails, or
// lets something happen in between.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "tests/broker/arena_fixture.h"

namespace uarena::broker {
namespace {

using Extents = std::vector<PageExtent>;

class ArenaAround : public ::testing::Test {
 protected:
  // All of them, by a touch of the second mapping.
  uint32_t touch(uint64_t address, uint32_t pages) {
    for (uint32_t i = 0; i < pages; ++i) arena_.byte(page_of(address) + i, 1) = 1;
    return pages;
  }
  uint64_t page_of(uint64_t address) { return (address - arena_.address(0)) / kPageSize; }
  uint32_t around(uint64_t page, uint32_t pages) {
    return arena_->fault_around(arena_.address(page), pages,
                                [this](uint64_t at, uint32_t n) { return touch(at, n); });
  }
  uint64_t used() { return arena_.account().used(Resource::pages); }

  TestArena arena_{1024, 0, kTestStart, {.around = Faulting::kAroundAuto}};
};

TEST_F(ArenaAround, FreePagesUpToTheFirstThatIsTaken) {
  ASSERT_EQ(arena_.alloc_at(100), 100);
  ASSERT_EQ(arena_.reserve(200), 0);
  EXPECT_EQ(around(90, 50), 10u);
  EXPECT_EQ(around(100, 50), 0u);
  EXPECT_EQ(around(101, 200), 99u);
  EXPECT_EQ(around(1020, 50), 4u) << "the arena ends there";
  EXPECT_EQ(around(1024, 1), 0u);
  EXPECT_EQ(arena_->extents(), (Extents{{{90, 10}, Origin::fault},
                                        {{100, 1}, Origin::program},
                                        {{101, 99}, Origin::fault},
                                        {{200, 1}, Origin::reserved},
                                        {{1020, 4}, Origin::fault}}));
  EXPECT_EQ(used(), 114u);
  EXPECT_EQ(arena_.blocks(), 114u);
}

TEST_F(ArenaAround, NotMoreThanTheOwnerMayHave) {
  Amounts limits;
  limits.fill(kUnlimited);
  limits[static_cast<size_t>(Resource::pages)] = 10;
  const_cast<Account&>(arena_.account()).set_limits(limits);
  EXPECT_EQ(around(0, 8), 8u);
  EXPECT_EQ(around(8, 8), 2u);
  EXPECT_EQ(around(10, 8), 0u);
  EXPECT_EQ(arena_.account().denied(Resource::pages), 0u) << "nobody had asked for them";
}

TEST_F(ArenaAround, WhatWasNotMadeIsFreeAgain) {
  const auto some = [this](uint64_t at, uint32_t) {
    EXPECT_EQ(arena_->counts().pages_allocated, 100u) << "entered before they are made";
    EXPECT_TRUE(arena_.fault(page_of(at) + 50)) << "another client";
    return touch(at, 30);
  };
  EXPECT_EQ(arena_->fault_around(arena_.address(0), 100, some), 30u);
  EXPECT_EQ(arena_->extents(), (Extents{{{0, 30}, Origin::fault}, {{50, 1}, Origin::fault}}));
  EXPECT_EQ(used(), 31u);
  EXPECT_EQ(arena_.blocks(), 31u);
}

TEST_F(ArenaAround, FreedMeanwhileAndThenMadeIsAFaultsAgain) {
  const auto freed = [this](uint64_t at, uint32_t pages) {
    arena_.free(10, 5);
    return touch(at, pages);
  };
  EXPECT_EQ(arena_->fault_around(arena_.address(0), 20, freed), 20u);
  EXPECT_EQ(arena_->extents(), (Extents{{{0, 20}, Origin::fault}}));
  EXPECT_EQ(used(), 20u);
}

TEST_F(ArenaAround, FreedMeanwhileAndGivenToAProgram) {
  const auto given = [this](uint64_t at, uint32_t) {
    arena_.free(10, 5);
    EXPECT_EQ(arena_.reserve(12), 0);
    EXPECT_EQ(arena_.alloc_at(10, 2), 10);
    return touch(at, 10);  // and the next page was there
  };
  EXPECT_EQ(arena_->fault_around(arena_.address(0), 20, given), 10u);
  EXPECT_EQ(
      arena_->extents(),
      (Extents{{{0, 10}, Origin::fault}, {{10, 2}, Origin::program}, {{12, 1}, Origin::reserved}}));
  EXPECT_EQ(arena_.blocks(), 12u);
  EXPECT_EQ(used(), 12u);
}

TEST_F(ArenaAround, NothingWhereFaultsAreRefused) {
  TestArena segv(16, kBpfFSegvOnFault);
  EXPECT_EQ(segv->fault_around(segv.address(0), 4,
                               [](uint64_t, uint32_t) -> uint32_t {
                                 ADD_FAILURE();
                                 return 0;
                               }),
            0u);
}

// Windows, frees and allocations at once: the books balance, and no page is twice somebody's.
TEST_F(ArenaAround, BooksBalance) {
  std::atomic<bool> done{false};
  std::thread program([&] {
    std::mt19937 random(7);
    while (!done) {
      const uint32_t page = random() % 1024;
      if (random() % 2 == 0)
        arena_.free(page, 1 + random() % 64);
      else
        arena_.alloc(1 + random() % 16);
    }
  });
  std::mt19937 random(8);
  for (int i = 0; i < 20'000; ++i) {
    const uint32_t page = random() % 1024;
    if (arena_.fault(page)) around(page + 1, random() % 64);
  }
  done = true;
  program.join();
  uint32_t known = 0;
  for (const PageExtent& extent : arena_->extents()) known += extent.pages.count;
  EXPECT_EQ(known, arena_.allocated());
  EXPECT_EQ(used(), arena_.allocated());
  // A page may be allocated and absent (freed while it was made), but none is there and free.
  EXPECT_LE(arena_.blocks(), arena_.allocated());
  arena_.free(0, 1024);
  EXPECT_EQ(arena_.blocks(), 0u);
  EXPECT_EQ(used(), 0u);
}

}  // namespace
}  // namespace uarena::broker
