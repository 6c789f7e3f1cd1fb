// Faults and inspection on a real arena (K26-K30).
#include <fcntl.h>
#include <gtest/gtest.h>

#include "tests/broker/arena_fixture.h"

namespace uarena::broker {
namespace {

using Extents = std::vector<PageExtent>;

// What a client may do with the descriptor it has.
void client_punches(Arena& arena, uint64_t page, uint64_t count = 1) {
  ASSERT_EQ(
      ::fallocate(arena.memory_fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  static_cast<off_t>(page * kPageSize), static_cast<off_t>(count * kPageSize)),
      0);
}

TEST(ArenaFault, TakesTheSlot) {  // K26
  TestArena arena(8);
  EXPECT_EQ(arena->fault(kTestStart + 2 * kPageSize + 123), FaultDecision::installed);
  EXPECT_EQ(arena->fault(kTestStart + 2 * kPageSize + 4), FaultDecision::present);
  EXPECT_EQ(arena->extents(), (Extents{{{2, 1}, Origin::fault}}));
  EXPECT_EQ(arena.blocks(), 1U);
  EXPECT_EQ(arena.alloc_at(2), -1);
  EXPECT_EQ(arena.alloc(2), 0);
  EXPECT_EQ(arena.account().used(Resource::pages), 3U);
}

TEST(ArenaFault, PresentPageIsLeftAlone) {  // K27
  TestArena arena(8);
  ASSERT_EQ(arena.alloc(), 0);
  arena.byte(0) = 'p';
  EXPECT_TRUE(arena.fault(0));
  EXPECT_EQ(arena.byte(0), 'p');
  EXPECT_EQ(arena->extents(), (Extents{{{0, 1}, Origin::program}}));
}

TEST(ArenaFault, OutsideIsRefused) {
  TestArena arena(8);
  EXPECT_EQ(arena->fault(kTestStart - 1), FaultDecision::refuse);
  EXPECT_EQ(arena->fault(kTestStart + 8 * kPageSize), FaultDecision::refuse);
  EXPECT_EQ(arena->fault(0), FaultDecision::refuse);
  EXPECT_EQ(arena->fault(UINT64_MAX), FaultDecision::refuse);
  EXPECT_EQ(arena.allocated(), 0U);
}

TEST(ArenaFault, ReservedPageIsAllocated) {  // K29
  TestArena arena(8);
  ASSERT_EQ(arena.reserve(1, 3), 0);
  EXPECT_TRUE(arena.fault(2));
  EXPECT_EQ(
      arena->extents(),
      (Extents{{{1, 1}, Origin::reserved}, {{2, 1}, Origin::fault}, {{3, 1}, Origin::reserved}}));
  EXPECT_EQ(arena->counts().pages_reserved, 2U);
  EXPECT_EQ(arena.blocks(), 1U);
}

TEST(ArenaFault, SegvOnFaultRefusesUntilAllocated) {  // K30
  TestArena arena(8, kBpfFSegvOnFault);
  EXPECT_FALSE(arena.fault(0));
  ASSERT_EQ(arena.reserve(1), 0);
  EXPECT_FALSE(arena.fault(1));
  EXPECT_EQ(arena.blocks(), 0U);
  ASSERT_EQ(arena.alloc(), 0);
  EXPECT_TRUE(arena.fault(0));
  arena.free(0);
  EXPECT_FALSE(arena.fault(0));
}

TEST(ArenaFault, AllocatedPageThatAClientPunchedComesBack) {
  for (const uint32_t flags : {0U, kBpfFSegvOnFault}) {
    TestArena arena(8, flags);
    ASSERT_EQ(arena.alloc(2), 0);
    client_punches(*arena, 1);
    EXPECT_EQ(arena.blocks(), 1U);
    EXPECT_TRUE(arena.fault(1));
    EXPECT_EQ(arena.blocks(), 2U);
    EXPECT_EQ(arena->extents(), (Extents{{{0, 2}, Origin::program}}));
  }
}

TEST(ArenaFault, PageThatAClientMadeIsTakenAsItIs) {
  TestArena arena(8);
  arena.byte(3) = 'x';
  EXPECT_TRUE(arena.fault(3));
  EXPECT_EQ(arena.byte(3), 'x');
  EXPECT_EQ(arena->extents(), (Extents{{{3, 1}, Origin::fault}}));
}

TEST(ArenaPrefault, FillsWhatIsMissing) {
  TestArena arena(300);
  ASSERT_EQ(arena.alloc_at(10, 20), 10);
  ASSERT_EQ(arena.reserve(40, 5), 0);
  arena.byte(12) = 'p';
  arena.byte(100) = 'x';  // made behind our back
  client_punches(*arena, 15, 2);
  const auto made = arena->prefault(arena.address(5), 200 * kPageSize);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(*made, 200U - 20 + 2 - 1);
  EXPECT_EQ(arena.blocks(), 200U);
  EXPECT_EQ(arena.byte(12), 'p');
  EXPECT_EQ(arena.byte(100), 'x');
  EXPECT_EQ(
      arena->extents(),
      (Extents{{{5, 5}, Origin::fault}, {{10, 20}, Origin::program}, {{30, 175}, Origin::fault}}));
  EXPECT_EQ(arena->prefault(arena.address(5), 200 * kPageSize), 0U);
  EXPECT_EQ(arena->faults().tally->counts().all(), 0U) << "a prefault is no fault";
  EXPECT_EQ(arena.account().used(Resource::pages), 200U);
}

TEST(ArenaPrefault, RangeMustLieInside) {
  TestArena arena(8);
  EXPECT_EQ(arena->prefault(kTestStart, 0), 0U);
  EXPECT_EQ(arena->prefault(kTestStart + 7 * kPageSize, 1), 1U);
  EXPECT_EQ(arena->prefault(kTestStart + 1, 1).error().code, EINVAL);
  EXPECT_EQ(arena->prefault(kTestStart, 9 * kPageSize).error().code, EINVAL);
  EXPECT_EQ(arena->prefault(kTestStart, UINT64_MAX).error().code, EINVAL);
  EXPECT_EQ(arena->prefault(kTestStart - kPageSize, kPageSize).error().code, EINVAL);
  EXPECT_EQ(arena.allocated(), 1U);
}

TEST(ArenaPrefault, SegvOnFaultIsEfault) {
  TestArena arena(8, kBpfFSegvOnFault);
  ASSERT_EQ(arena.alloc(3), 0);
  EXPECT_EQ(arena->prefault(kTestStart, 3 * kPageSize), 0U);
  EXPECT_EQ(arena->prefault(kTestStart, 4 * kPageSize).error().code, EFAULT);
  client_punches(*arena, 1);
  EXPECT_EQ(arena->prefault(kTestStart, 3 * kPageSize), 1U);
}

TEST(ArenaInspect, ReadMakesNoPage) {
  TestArena arena(4);
  ASSERT_EQ(arena.alloc_at(1), 1);
  arena.byte(1, 3) = 9;
  const auto bytes = arena->read(kPageSize - 1, kPageSize + 2);
  ASSERT_TRUE(bytes);
  EXPECT_EQ(bytes->size(), kPageSize + 2);
  EXPECT_EQ((*bytes)[4], std::byte{9});
  EXPECT_EQ((*bytes)[kPageSize + 1], std::byte{0});
  EXPECT_EQ(arena.blocks(), 1U);
  EXPECT_TRUE(arena->read(4 * kPageSize, 0));
  EXPECT_EQ(arena->read(4 * kPageSize, 1).error().code, EINVAL);
  EXPECT_EQ(arena->read(UINT64_MAX, 2).error().code, EINVAL);
}

TEST(ArenaInspect, KnowsItself) {
  TestArena arena(4, kBpfFNoUserConv);
  EXPECT_EQ(arena->id(), 1U);
  EXPECT_EQ(arena->name(), "test");
  EXPECT_EQ(arena->owner_uid(), 1000U);
  EXPECT_EQ(arena->size(), 4 * kPageSize);
  EXPECT_FALSE(arena->segv_on_fault());
  EXPECT_TRUE(arena->view().no_user_conv);
  EXPECT_EQ(arena->view().user_vm_start, kTestStart);
  EXPECT_EQ(arena->view().size, 4 * kPageSize);
  ASSERT_EQ(arena.alloc(), 0);
  arena.byte(0) = 'k';  // the kernel view is the same page, at the low 32 bits
  EXPECT_EQ(*reinterpret_cast<volatile char*>(arena->view().kern_vm_start + 0x1000), 'k');
}

}  // namespace
}  // namespace uarena::broker
