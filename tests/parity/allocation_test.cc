// Where pages come to lie: sequences of allocations, frees, reservations and clients' touches, each
// call made in the live kernel and in ours, each answer compared (K26, K29, K33-K41). Arenas are
// small, so that sequences meet their limits; at the end of each sequence the arena is emptied page
// by page, which shows the order of every free extent that was left (K36).
#include <gtest/gtest.h>

#include <random>

#include "tests/bpf/contexts.h"
#include "tests/parity/twin.h"

namespace uarena::testing {
namespace {

constexpr uint32_t kPages = 48;

class Allocation : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = kernel_arena_unavailable()) GTEST_SKIP() << *reason;
  }

  void start(uint64_t user_vm_start = 0x7e9300003000) {
    TwinOptions options;
    options.user_vm_start = user_vm_start;
    options.pages = kPages;
    twin_ = std::make_unique<Twin>("kfuncs", options);
    trace_.clear();
  }

  // One call in both. Every call is written down; a failure shows what led to it.
  uint64_t call(const char* program, uint64_t addr, uint32_t cnt, uint64_t flags = 0) {
    trace_ += fmt::format("{}({:#x}, {}, {})", program, addr, cnt, flags);
    kfunc_ctx context{addr, cnt, -1, flags, 0};
    twin_->run(program, context);
    trace_ += fmt::format(" = {:#x}\n", context.result);
    return context.result;
  }
  uint64_t alloc(uint32_t cnt) { return call("alloc_pages", 0, cnt); }
  uint64_t alloc_at(uint32_t page, uint32_t cnt) { return call("alloc_pages", at(page), cnt); }
  void free_at(uint32_t page, uint32_t cnt) { call("free_pages", at(page), cnt); }
  int64_t reserve_at(uint32_t page, uint32_t cnt) {
    return static_cast<int64_t>(call("reserve_pages", at(page), cnt));
  }
  void touch(uint32_t page, uint64_t value) {
    trace_ += fmt::format("touch({})\n", page);
    twin_->touch(page, value);
  }
  uint64_t at(uint32_t page) const { return twin_->base() + page * kPageSize; }

  // The free extents as the next allocations see them: page by page.
  std::vector<uint32_t> drain() {
    std::vector<uint32_t> order;
    while (const uint64_t got = alloc(1)) {
      order.push_back(static_cast<uint32_t>((got - twin_->base()) / kPageSize));
      if (HasFailure()) break;
    }
    return order;
  }
  void free_all() {
    free_at(0, kPages);
    trace_.clear();
  }

  std::unique_ptr<Twin> twin_;
  std::string trace_;
};

using Pages = std::vector<uint32_t>;

TEST_F(Allocation, FreshArenaFromTheBeginning) {
  start();
  EXPECT_EQ(alloc(3), at(0));
  EXPECT_EQ(alloc(2), at(3));
  EXPECT_EQ(drain().front(), 5u);
}

TEST_F(Allocation, EqualGapsComeBackLastFreedFirst) {
  start();
  for (const Pages& freed : {Pages{2, 6, 10, 14}, Pages{10, 2, 14, 6}}) {
    alloc_at(0, kPages);
    for (const uint32_t page : freed) free_at(page, 1);
    EXPECT_EQ(drain(), Pages(freed.rbegin(), freed.rend()));
    free_all();
  }
}

// What a second free does to the order of extents: nothing, as long as all of it was free.
TEST_F(Allocation, DoubleFreeInsideOneExtent) {
  start();
  alloc_at(0, kPages);
  free_at(0, 2);
  free_at(4, 2);
  free_at(1, 1);  // free already
  drain();
  free_all();
  alloc_at(0, kPages);
  free_at(0, 2);
  free_at(4, 2);
  free_at(0, 2);  // exactly an extent
  drain();
}

TEST_F(Allocation, FreeOverSeveralExtents) {
  start();
  alloc_at(0, kPages);
  free_at(0, 3);
  free_at(20, 7);
  free_at(4, 2);
  free_at(1, 5);  // part of both and the page between
  EXPECT_EQ(alloc(6), at(0));
  drain();
}

TEST_F(Allocation, MergesWithNeighbours) {
  start();
  alloc_at(0, kPages);
  for (const uint32_t page : {3u, 5u, 11u, 13u, 21u, 30u}) free_at(page, 1);
  free_at(4, 1);   // both neighbours
  free_at(12, 1);  // both
  free_at(22, 1);  // the left one
  free_at(29, 1);  // the right one
  drain();
}

TEST_F(Allocation, SplitsAndTies) {
  start();
  alloc_at(4, 1);   // 0-3
  alloc_at(9, 1);   // 5-8
  alloc_at(14, 1);  // 10-13, rest
  alloc_at(19, 1);
  drain();
}

TEST_F(Allocation, TouchSplitsLikeAnAllocation) {
  start();
  touch(4, 1);
  touch(9, 2);
  EXPECT_EQ(alloc_at(4, 1), 0u);  // K26
  EXPECT_EQ(reserve_at(8, 2), -EBUSY);
  touch(4, 5);  // K27: there already
  EXPECT_EQ(call("peek", at(4), 0), 5u);
  drain();
  free_all();
  EXPECT_EQ(call("peek", at(4), 0), 0u);
}

TEST_F(Allocation, TouchOfAReservedPage) {
  start();
  EXPECT_EQ(reserve_at(3, 4), 0);
  touch(4, 77);  // K29
  EXPECT_EQ(call("peek", at(4), 0), 77u);
  EXPECT_EQ(alloc_at(3, 1), 0u);
  EXPECT_EQ(reserve_at(4, 1), -EBUSY);
  free_at(2, 6);  // K40: reserved, touched and free ones at once
  EXPECT_EQ(call("peek", at(4), 0), 0u);
  EXPECT_EQ(alloc_at(3, 4), at(3));
  drain();
}

// One call with arguments that lie mostly inside the arena.
class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(engine_() % limit); }
  uint32_t page() { return below(kPages); }
  uint32_t count() {
    switch (below(24)) {
      case 0:
        return 0;
      case 1:
        return kPages;
      case 2:
        return kPages + 1;
      case 3:
        return below(2) != 0 ? 0x100000 : 0xffffffff;
      default:
        return 1 + below(6);
    }
  }
  // Garbage in the upper half must not matter (K35).
  uint64_t garbage(uint64_t address) {
    return below(4) != 0 ? address : address ^ (engine_() & 0x7fffffff00000000);
  }
  uint64_t value() { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

class RandomAllocation : public Allocation, public ::testing::WithParamInterface<uint32_t> {
 protected:
  uint64_t any_address(Random& random) {
    switch (random.below(12)) {
      case 0:
        return at(random.page()) + 1 + random.below(4095);  // unaligned
      case 1:
        return at(kPages + random.below(5));  // behind the end
      case 2:
        return 0;
      default:
        return random.garbage(at(random.page()));
    }
  }
  // Not below the arena: there 6.18 puts pages into its tree that the arena does not have (K39).
  uint64_t address_to_free(Random& random) {
    const uint64_t address = any_address(random);
    const auto low = static_cast<uint32_t>(address);
    return address == 0 || low >= static_cast<uint32_t>(twin_->base()) ? address : at(0);
  }
  // Allocations and reservations below the arena are safe to ask for.
  uint64_t address_or_below(Random& random) {
    return random.below(20) == 0 ? twin_->base() - (1 + random.below(3)) * kPageSize
                                 : any_address(random);
  }

  void step(Random& random) {
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2:
        alloc(random.count());
        break;
      case 3:
      case 4:
        call("alloc_pages", address_or_below(random), random.count(), random.below(16) == 0);
        break;
      case 5:
        call("reserve_pages", address_or_below(random), random.count());
        break;
      case 6:
        touch(random.page(), random.value());
        break;
      case 7:
        call("peek", at(random.page()), 0);
        break;
      case 8:
        call("poke", at(random.page()), 0, random.value());
        break;
      default:
        call("free_pages", address_to_free(random), random.count() % kPages);
    }
  }
};

// Seeds by user_vm_start: in the middle of a 4 GiB line, and at its beginning, where the low half
// of the arena's own address is 0 (K35).
TEST_P(RandomAllocation, EveryAnswerIsTheKernels) {
  start(GetParam() % 2 == 0 ? 0x7e9300003000 : 0x7e9300000000);
  for (uint32_t sequence = 0; sequence < 40; ++sequence) {
    Random random(GetParam() * 1000 + sequence);
    const uint32_t steps = 5 + random.below(60);
    for (uint32_t i = 0; i < steps; ++i) {
      step(random);
      ASSERT_FALSE(HasFailure()) << trace_;
    }
    drain();
    ASSERT_FALSE(HasFailure()) << trace_;
    free_all();
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomAllocation, ::testing::Range(0u, 8u));

}  // namespace
}  // namespace uarena::testing
