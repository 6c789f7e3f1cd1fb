// Allocation, freeing and reserving on a real arena: the kernel's answer for every argument
// (K33-K41), and what happens when a client made pages behind our back.
#include <gtest/gtest.h>

#include "tests/broker/arena_fixture.h"

namespace uarena::broker {
namespace {

using Extents = std::vector<PageExtent>;

TEST(ArenaAlloc, FreshArenaIsSequentialAndZero) {
  TestArena arena(8);
  for (int64_t page = 0; page < 8; ++page) {
    ASSERT_EQ(arena.alloc(), page);
    EXPECT_EQ(arena.byte(static_cast<uint64_t>(page), 100), 0);
  }
  EXPECT_EQ(arena.alloc(), -1);
  EXPECT_EQ(arena.blocks(), 8U);
  EXPECT_EQ(arena.allocated(), 8U);
  EXPECT_EQ(arena.account().used(Resource::pages), 8U);
  EXPECT_EQ(arena->extents(), (Extents{{{0, 8}, Origin::program}}));
}

TEST(ArenaAlloc, ReturnsTheFullAddress) {
  TestArena arena(4);
  EXPECT_EQ(arena->alloc_pages(0, 2, -1, 0, Origin::program), kTestStart);
  EXPECT_EQ(arena->alloc_pages(0, 2, 0, 0, Origin::client), kTestStart + 2 * kPageSize);
}

TEST(ArenaAlloc, BadArgumentsAreNull) {  // K34
  TestArena arena(8);
  const auto alloc = [&](uint64_t addr, uint32_t count, int node, uint64_t flags) {
    return arena->alloc_pages(addr, count, node, flags, Origin::program);
  };
  EXPECT_EQ(alloc(0, 1, -1, 1), 0U);
  EXPECT_EQ(alloc(0, 1, -1, uint64_t{1} << 63), 0U);
  EXPECT_EQ(alloc(0, 0, -1, 0), 0U);
  EXPECT_EQ(alloc(0, 9, -1, 0), 0U);
  EXPECT_EQ(alloc(0, UINT32_MAX, -1, 0), 0U);
  EXPECT_EQ(alloc(0, 1, -2, 0), 0U);
  EXPECT_EQ(alloc(0, 1, 1023, 0), 0U);
  EXPECT_EQ(alloc(kTestStart + 1, 1, -1, 0), 0U);
  EXPECT_EQ(alloc(kTestStart - kPageSize, 1, -1, 0), 0U);
  EXPECT_EQ(alloc(kTestStart + 8 * kPageSize, 1, -1, 0), 0U);
  EXPECT_EQ(alloc(kTestStart + 7 * kPageSize, 2, -1, 0), 0U);
  EXPECT_EQ(arena.allocated(), 0U);
  EXPECT_EQ(arena.blocks(), 0U);
}

TEST(ArenaAlloc, OnlyTheLow32BitsOfAnAddressCount) {  // K35
  TestArena arena(8);
  EXPECT_EQ(arena->alloc_pages(0x1000 + 3 * kPageSize, 1, -1, 0, Origin::program),
            kTestStart + 3 * kPageSize);
  EXPECT_EQ(arena->alloc_pages(0xdeadbeef00005000, 1, -1, 0, Origin::program),
            kTestStart + 4 * kPageSize);
  EXPECT_EQ(arena->alloc_pages(uint64_t{1} << 32, 1, -1, 0, Origin::program), 0U)
      << "low32 is 0, which is below this arena";
}

TEST(ArenaAlloc, PageAtPointerZeroNeedsThe64BitAddress) {  // K35
  TestArena arena(4, 0, 0x7e9100000000);
  ASSERT_EQ(arena.alloc_at(1), 1);
  EXPECT_EQ(arena->alloc_pages(0, 2, -1, 0, Origin::program), 0x7e9100002000U) << "anywhere";
  EXPECT_EQ(arena->alloc_pages(0x7e9100000000, 1, -1, 0, Origin::program), 0x7e9100000000U);
}

TEST(ArenaAlloc, FixedRangeIsAllOrNothing) {
  TestArena arena(8);
  ASSERT_EQ(arena.alloc_at(3), 3);
  EXPECT_EQ(arena.alloc_at(2, 3), -1);
  EXPECT_EQ(arena.allocated(), 1U);
  EXPECT_EQ(arena.blocks(), 1U);
  EXPECT_EQ(arena.alloc_at(4, 4), 4);
}

TEST(ArenaAlloc, EqualGapsComeBackLastFreedFirst) {  // K36
  TestArena arena(16);
  ASSERT_EQ(arena.alloc(16), 0);
  for (const uint64_t page : {10U, 2U, 14U, 6U}) arena.free(page);
  for (const int64_t page : {6, 14, 2, 10}) EXPECT_EQ(arena.alloc(), page);
}

TEST(ArenaAlloc, FreedPagesComeBackAsZeros) {  // K37
  TestArena arena(4);
  ASSERT_EQ(arena.alloc(2), 0);
  arena.byte(0) = 0x5a;
  arena.byte(1, 4095) = 0x5a;
  arena.free(0, 2);
  EXPECT_EQ(arena.blocks(), 0U);
  ASSERT_EQ(arena.alloc(2), 0);
  EXPECT_EQ(arena.byte(0), 0);
  EXPECT_EQ(arena.byte(1, 4095), 0);
}

TEST(ArenaAlloc, WholeArenaOf4GiBInOneRequest) {
  TestArena arena(kMaxArenaPages, 0, 0x7e9100000000);
  EXPECT_EQ(arena.blocks(), 0U);
  EXPECT_EQ(arena.reserve(0, kMaxArenaPages), 0);
  EXPECT_EQ(arena->counts().pages_reserved, kMaxArenaPages);
  EXPECT_EQ(arena->extents(), (Extents{{{0, kMaxArenaPages}, Origin::reserved}}));
  arena.free(0, kMaxArenaPages);
  EXPECT_EQ(arena.alloc_at(kMaxArenaPages - 3000, 3000), kMaxArenaPages - 3000);
  EXPECT_EQ(arena.blocks(), 3000U);
  arena.free(0, kMaxArenaPages);
  EXPECT_EQ(arena.blocks(), 0U);
  EXPECT_EQ(arena.alloc(), 0);
}

TEST(ArenaFree, RoundsDownClipsAndIgnores) {  // K38
  TestArena arena(8);
  ASSERT_EQ(arena.alloc(8), 0);
  arena->free_pages(0, 8);
  arena->free_pages(kTestStart, 0);
  EXPECT_EQ(arena.allocated(), 8U);
  arena->free_pages(0x1000 + kPageSize + 77, 1);  // low 32 bits, rounded down
  EXPECT_EQ(arena->extents(), (Extents{{{0, 1}, Origin::program}, {{2, 6}, Origin::program}}));
  arena->free_pages(kTestStart + 6 * kPageSize, UINT32_MAX);  // clipped
  EXPECT_EQ(arena.allocated(), 5U);
  EXPECT_EQ(arena.blocks(), 5U);
  arena.free(6, 1);                                  // double free
  arena->free_pages(kTestStart + 8 * kPageSize, 1);  // behind the end
  EXPECT_EQ(arena.allocated(), 5U);
  EXPECT_EQ(arena.account().used(Resource::pages), 5U);
}

TEST(ArenaFree, BelowTheArenaIsIgnored) {  // K39
  TestArena arena(8, 0, 0x7e9000004000);
  ASSERT_EQ(arena.alloc(8), 0);
  arena->free_pages(0x7e9000003000, 1);
  arena->free_pages(0x7e9000002000, 4);  // would reach into the arena
  arena->free_pages(uint64_t{1} << 32, 1);
  EXPECT_EQ(arena.allocated(), 8U);
  EXPECT_EQ(arena.alloc(), -1);
}

TEST(ArenaFree, ReservedAndAllocatedInOneCall) {  // K40
  TestArena arena(200);
  ASSERT_EQ(arena.reserve(0, 100), 0);
  ASSERT_EQ(arena.alloc_at(100, 100), 100);
  arena.free(50, 100);
  EXPECT_EQ(arena.allocated(), 50U);
  EXPECT_EQ(arena->counts().pages_reserved, 50U);
  EXPECT_EQ(arena.alloc(100), 50);
}

TEST(ArenaReserve, AnswersOfTheKernel) {  // K41
  TestArena arena(8);
  EXPECT_EQ(arena.reserve(2, 2), 0);
  EXPECT_EQ(arena.reserve(2, 2), -EBUSY);
  EXPECT_EQ(arena.reserve(1, 2), -EBUSY);
  EXPECT_EQ(arena->reserve_pages(kTestStart, 0), 0);
  EXPECT_EQ(arena->reserve_pages(kTestStart + 5, 1), 0) << "unaligned: success, nothing reserved";
  EXPECT_EQ(arena->reserve_pages(kTestStart + 8 * kPageSize, 1), -EINVAL);
  EXPECT_EQ(arena->reserve_pages(kTestStart + 7 * kPageSize, 2), -EINVAL);
  EXPECT_EQ(arena->reserve_pages(kTestStart - kPageSize, 1), -EINVAL);
  EXPECT_EQ(arena->reserve_pages(kTestStart, UINT32_MAX), -EINVAL);
  EXPECT_EQ(arena->reserve_pages(0, 1), -EINVAL) << "low32 0 is below this arena";
  EXPECT_EQ(arena.alloc_at(2), -1);
  EXPECT_EQ(arena->counts().pages_reserved, 2U);
  EXPECT_EQ(arena.blocks(), 0U);
  ASSERT_TRUE(arena.fault(4));
  EXPECT_EQ(arena.reserve(4), -EBUSY);
}

TEST(ArenaReserve, NullIsTheBaseOfA4GiBAlignedArena) {
  TestArena arena(4, 0, 0x7e9100000000);
  EXPECT_EQ(arena->reserve_pages(0, 1), 0);
  EXPECT_EQ(arena.alloc(4), -1);
  EXPECT_EQ(arena.alloc(3), 1);
}

// --- pages that a client made behind our back ---

TEST(ArenaTampered, FixedAllocationFailsAndLosesNothing) {
  TestArena arena(16);
  arena.byte(5) = 'x';
  arena.byte(6) = 'y';
  EXPECT_EQ(arena.alloc_at(4, 8), -1);
  EXPECT_EQ(arena.byte(5), 'x');
  // Page 4 was claimed by then, and a client could have written to it already.
  EXPECT_EQ(arena->extents(), (Extents{{{4, 3}, Origin::fault}}));
  EXPECT_EQ(arena.blocks(), 3U);
  EXPECT_EQ(arena.account().used(Resource::pages), 3U);
  EXPECT_EQ(arena.alloc_at(7, 8), 7);
}

TEST(ArenaTampered, AnywhereLooksElsewhere) {
  TestArena arena(16);
  arena.byte(0) = 'x';
  arena.byte(3) = 'y';
  EXPECT_EQ(arena.alloc(2), 1);
  EXPECT_EQ(arena.byte(1), 0);
  EXPECT_EQ(arena.alloc(2), 4);
  EXPECT_EQ(arena.byte(0), 'x');
  EXPECT_EQ(arena.byte(3), 'y');
  EXPECT_EQ(arena->extents(), (Extents{{{0, 1}, Origin::fault},
                                       {{1, 2}, Origin::program},
                                       {{3, 1}, Origin::fault},
                                       {{4, 2}, Origin::program}}));
}

TEST(ArenaTampered, WithSegvOnFaultClaimedPagesAreFreedAgain) {
  TestArena arena(16, kBpfFSegvOnFault);
  arena.byte(5) = 'x';
  EXPECT_EQ(arena.alloc_at(2, 8), -1);
  EXPECT_EQ(arena->extents(), (Extents{{{5, 1}, Origin::fault}}));
  EXPECT_EQ(arena.blocks(), 1U);
  EXPECT_EQ(arena.account().used(Resource::pages), 1U);
}

TEST(ArenaTampered, AFilledArenaGivesNullSoon) {
  TestArena arena(4096);
  for (uint64_t page = 0; page < 4096; page += 2) arena.byte(page) = 'x';
  EXPECT_EQ(arena.alloc(2), -1);
  EXPECT_LT(arena.allocated(), 4096U) << "a bounded number of tries";
  for (uint64_t page = 0; page < 4096; page += 2) ASSERT_EQ(arena.byte(page), 'x');
}

TEST(ArenaTampered, FreeTakesAwayWhatTheTableDoesNotKnow) {
  TestArena arena(8);
  arena.byte(3) = 'x';
  arena.free(0, 8);
  EXPECT_EQ(arena.blocks(), 0U);
  EXPECT_EQ(arena.alloc(8), 0);
}

// --- globals ---

TEST(ArenaGlobals, PagesTheyTouchAreTakenAndHoldThem) {  // K80
  TestArena arena(8);
  const std::vector<std::byte> bytes(kPageSize + 10, std::byte{7});
  ASSERT_TRUE(arena->install_globals(kPageSize - 5, bytes));
  EXPECT_EQ(arena->extents(), (Extents{{{0, 3}, Origin::program}}));
  EXPECT_EQ(arena.byte(0, kPageSize - 6), 0);
  EXPECT_EQ(arena.byte(0, kPageSize - 5), 7);
  EXPECT_EQ(arena.byte(2, 4), 7);
  EXPECT_EQ(arena.byte(2, 5), 0);
  EXPECT_EQ(arena.alloc(), 3);
}

TEST(ArenaGlobals, TakenOrTooLargeChangesNothing) {
  TestArena arena(8);
  ASSERT_EQ(arena.alloc_at(1), 1);
  const std::vector<std::byte> bytes(2 * kPageSize, std::byte{7});
  EXPECT_EQ(arena->install_globals(0, bytes).error().code, EBUSY);
  EXPECT_EQ(arena->install_globals(7 * kPageSize, bytes).error().code, E2BIG);
  EXPECT_EQ(arena->install_globals(UINT64_MAX, bytes).error().code, E2BIG);
  EXPECT_TRUE(arena->install_globals(0, {}));
  EXPECT_EQ(arena.allocated(), 1U);
  EXPECT_EQ(arena.blocks(), 1U);
}

}  // namespace
}  // namespace uarena::broker
