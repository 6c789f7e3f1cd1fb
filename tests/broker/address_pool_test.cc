// Where arenas live: regions in order, lines of 4 GiB, no page at BPF pointer 0, no overlap.
#include "broker/address_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>

#include "ipc/base/page.h"

namespace uarena::broker {
namespace {

constexpr uint64_t kFirst = 0x7e9000000000;
constexpr uint64_t kSecond = 0x200000000000;

TEST(AddressPool, SmallArenasArePackedBehindTheFirstPage) {
  AddressPool pool;
  EXPECT_EQ(pool.pick(kPageSize), kFirst + kPageSize);
  EXPECT_EQ(pool.pick(3 * kPageSize), kFirst + 2 * kPageSize);
  EXPECT_EQ(pool.pick(kPageSize), kFirst + 5 * kPageSize);
  pool.release(kFirst + 2 * kPageSize);
  EXPECT_EQ(pool.pick(4 * kPageSize), kFirst + 6 * kPageSize);
  EXPECT_EQ(pool.pick(2 * kPageSize), kFirst + 2 * kPageSize);
}

TEST(AddressPool, NothingCrossesALine) {
  AddressPool pool;
  EXPECT_EQ(pool.pick(kMaxArenaSize - 2 * kPageSize), kFirst + kPageSize);
  EXPECT_EQ(pool.pick(2 * kPageSize), kFirst + kMaxArenaSize + kPageSize);
  EXPECT_EQ(pool.pick(kPageSize), kFirst + kMaxArenaSize - kPageSize);
  EXPECT_EQ(pool.pick(kMaxArenaSize), kFirst + 2 * kMaxArenaSize);
  EXPECT_EQ(pool.pick(kMaxArenaSize - kPageSize), kFirst + 3 * kMaxArenaSize + kPageSize);
}

TEST(AddressPool, SecondRegionThenEnospc) {
  AddressPool pool;
  constexpr uint64_t kLinesInFirst = (0x7ef000000000 - kFirst) / kMaxArenaSize;
  for (uint64_t i = 0; i < kLinesInFirst; ++i)
    ASSERT_EQ(pool.pick(kMaxArenaSize), kFirst + i * kMaxArenaSize);
  constexpr uint64_t kLinesInSecond = (0x300000000000 - kSecond) / kMaxArenaSize;
  for (uint64_t i = 0; i < kLinesInSecond; ++i)
    ASSERT_EQ(pool.pick(kMaxArenaSize), kSecond + i * kMaxArenaSize);
  EXPECT_EQ(pool.pick(kPageSize).error().code, ENOSPC);
  pool.release(kSecond);
  EXPECT_EQ(pool.pick(kPageSize), kSecond + kPageSize);
}

TEST(AddressPool, ExplicitAddressesMustNotOverlap) {
  AddressPool pool;
  ASSERT_TRUE(pool.claim(0x100000000000, 16 * kPageSize));
  EXPECT_TRUE(pool.claim(0x100000010000, kPageSize));  // touches
  for (const auto& [start, size] : std::map<uint64_t, uint64_t>{{0x100000000000, kPageSize},
                                                                {0x10000000e000, 2 * kPageSize},
                                                                {0x0ffffffff000, 2 * kPageSize}}) {
    const auto claimed = pool.claim(start, size);
    ASSERT_FALSE(claimed) << start;
    EXPECT_EQ(claimed.error().code, EBUSY);
    EXPECT_THAT(claimed.error().message, testing::HasSubstr("0x100000000000-0x10000000ffff"));
  }
  pool.release(0x100000000000);
  EXPECT_TRUE(pool.claim(0x100000000000, kPageSize));
}

TEST(AddressPool, ExplicitAddressesAreLeftOutOfThePick) {
  AddressPool pool;
  ASSERT_TRUE(pool.claim(kFirst - kMaxArenaSize, kMaxArenaSize));
  ASSERT_TRUE(pool.claim(kFirst + 2 * kPageSize, kPageSize));
  EXPECT_EQ(pool.pick(2 * kPageSize), kFirst + 3 * kPageSize);
  EXPECT_EQ(pool.pick(kPageSize), kFirst + kPageSize);
}

TEST(AddressPool, TheLastPageOfAllCanBeClaimed) {
  AddressPool pool;
  ASSERT_TRUE(pool.claim(0xfffffffffffff000, kPageSize));  // K3
  EXPECT_EQ(pool.claim(0xfffffffffffff000, kPageSize).error().code, EBUSY);
  pool.release(0xfffffffffffff000);
}

RC_GTEST_PROP(AddressPoolProperty, LegalAndDisjoint, ()) {
  AddressPool pool;
  std::map<uint64_t, uint64_t> used;
  for (int step = 0; step < 60; ++step) {
    if (!used.empty() && *rc::gen::inRange(0, 3) == 0) {
      const auto victim =
          std::next(used.begin(), *rc::gen::inRange<int>(0, static_cast<int>(used.size())));
      pool.release(victim->first);
      used.erase(victim);
      continue;
    }
    const auto pages = *rc::gen::oneOf(rc::gen::inRange<uint64_t>(1, 64),
                                       rc::gen::inRange<uint64_t>(1 << 18, (1 << 20) + 1),
                                       rc::gen::just<uint64_t>(1 << 20));
    const uint64_t size = pages * kPageSize;
    const uint64_t start = pool.pick(size).value();
    RC_ASSERT((start >> 32) == ((start + size - 1) >> 32));
    RC_ASSERT(page_aligned(start));
    RC_ASSERT((start & 0xffffffffU) != 0 || size == kMaxArenaSize);
    RC_ASSERT(start >= kFirst);
    const auto next = used.upper_bound(start);
    if (next != used.end()) RC_ASSERT(start + size <= next->first);
    if (next != used.begin()) RC_ASSERT(std::prev(next)->first + std::prev(next)->second <= start);
    used.emplace(start, size);
  }
}

}  // namespace
}  // namespace uarena::broker
