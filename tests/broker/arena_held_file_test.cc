// A client can hold the inode lock of its memory file for as long as it likes: it writes to the
// file from a buffer whose page never comes. Whatever the broker does that needs this lock, it must
// not hold the arena's meanwhile: a fault thread, which serves other clients too, would stand
// still.
#include <gtest/gtest.h>

#include <future>

#include "arena_fixture.h"
#include "tests/support/hanging_writer.h"

namespace uarena::broker {
namespace {

using namespace std::chrono_literals;

using testing::HangingWriter;

// What `act` returns, and nothing when it does not come back in time. It is left running then.
template <typename Act>
auto in_time(Act act, std::chrono::milliseconds limit = 1500ms) {
  auto running =
      std::make_shared<std::future<decltype(act())>>(std::async(std::launch::async, act));
  const bool done = running->wait_for(limit) == std::future_status::ready;
  return std::pair(done, running);
}

class HeldFileTest : public ::testing::TestWithParam<uint32_t> {
 protected:
  TestArena arena_{16, GetParam()};
};

TEST_P(HeldFileTest, AFreeThatHangsStopsNoFault) {
  ASSERT_EQ(arena_.alloc(4), 0);
  HangingWriter writer(arena_->memory_fd(), 8);
  auto [freed, free] = in_time([&] { return arena_.free(1), true; }, 100ms);
  EXPECT_FALSE(freed);
  auto [answered, fault] = in_time([&] { return arena_.fault(3); });
  EXPECT_TRUE(answered);
  auto [counted, counts] = in_time([&] { return arena_.allocated(); });
  EXPECT_TRUE(counted);
  // A page that is being freed is there until it is gone.
  auto [answered_too, second] = in_time([&] { return arena_.fault(1); });
  EXPECT_TRUE(answered_too);
  writer.let_go();
  free->get();
  EXPECT_TRUE(fault->get());
  EXPECT_TRUE(second->get());
  EXPECT_EQ(counts->get(), 4U);
  EXPECT_EQ(arena_.allocated(), 3U);
  EXPECT_EQ(arena_.alloc_at(1), 1);
}

// Until the pages are out of the file nobody gets them, not even those that were free before.
TEST_P(HeldFileTest, AnAllocationOfPagesThatAreBeingFreedComesAfter) {
  ASSERT_EQ(arena_.alloc(2), 0);
  HangingWriter writer(arena_->memory_fd(), 8);
  auto [freed, free] = in_time([&] { return arena_.free(0, 4), true; }, 100ms);
  EXPECT_FALSE(freed);
  auto [placed, fixed] = in_time([&] { return arena_.alloc_at(3); }, 100ms);
  auto [kept, reserved] = in_time([&] { return arena_.reserve(2); }, 100ms);
  EXPECT_FALSE(placed);
  EXPECT_FALSE(kept);
  writer.let_go();
  free->get();
  EXPECT_EQ(fixed->get(), 3);
  EXPECT_EQ(reserved->get(), 0);
  EXPECT_EQ(arena_.allocated(), 1U);
  EXPECT_EQ(arena_->counts().pages_reserved, 1U);
}

INSTANTIATE_TEST_SUITE_P(Arenas, HeldFileTest, ::testing::Values(0U, kBpfFSegvOnFault));

// A fault on a free page inside the range of a free: the free came first.
TEST(HeldFile, AFaultDuringAFreeKeepsItsPage) {
  TestArena arena(16);
  ASSERT_EQ(arena.alloc(2), 0);
  HangingWriter writer(arena->memory_fd(), 8);
  auto [freed, free] = in_time([&] { return arena.free(0, 4), true; }, 100ms);
  EXPECT_FALSE(freed);
  auto [answered, fault] = in_time([&] { return arena.fault(3); });
  EXPECT_TRUE(answered);
  writer.let_go();
  free->get();
  EXPECT_TRUE(fault->get());
  EXPECT_EQ(arena->extents(), (std::vector<PageExtent>{{{3, 1}, Origin::fault}}));
}

}  // namespace
}  // namespace uarena::broker
