// Several threads on one arena: allocations, frees, faults and inspection at once. What must hold
// afterwards is the books: pages in the file, pages in the table and pages charged are the same.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "broker/fair_mutex.h"
#include "tests/broker/arena_fixture.h"

namespace uarena::broker {
namespace {

TEST(ArenaRace, BooksBalance) {
  constexpr uint32_t kPages = 512;
  TestArena arena(kPages);
  std::atomic<int> working{3};
  std::atomic<bool> torn{false};
  const auto worker = [&](unsigned seed) {
    std::mt19937 random(seed);
    for (int step = 0; step < 1500; ++step) {
      const uint32_t page = random() % kPages;
      const uint32_t count = 1 + random() % 100;
      switch (random() % 5) {
        case 0:
          arena.alloc(count);
          break;
        case 1:
          arena.alloc_at(page, 1 + count / 10);
          break;
        case 2:
          arena.free(page, count);
          break;
        case 3:
          if (!arena->prefault(arena.address(page), kPageSize)) torn = true;
          break;
        default:
          if (!arena.fault(page)) torn = true;
      }
    }
    --working;
  };
  std::vector<std::thread> threads;
  for (unsigned seed = 1; seed <= 3; ++seed) threads.emplace_back(worker, seed);
  while (working > 0) {
    uint64_t end = 0;
    for (const PageExtent& extent : arena->extents()) {
      if (extent.pages.first < end || extent.pages.count == 0) torn = true;
      end = extent.pages.end();
    }
    std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(torn);
  EXPECT_EQ(arena.blocks(), arena.allocated());
  EXPECT_EQ(arena.account().used(Resource::pages), arena.allocated());
  arena.free(0, kPages);
  EXPECT_EQ(arena.blocks(), 0U);
  EXPECT_EQ(arena.alloc(kPages), 0);
}

// Faults on pages that a large allocation is about to claim: both get their pages, all of them
// zeros at first, and the allocation does not take them for somebody else's.
TEST(ArenaRace, FaultsInsideAnAllocationUnderWay) {
  constexpr uint32_t kPages = 20'000;
  TestArena arena(kPages);
  std::atomic<bool> done{false};
  std::thread toucher([&] {
    for (uint32_t page = kPages - 1; !done; page = page == 0 ? kPages - 1 : page - 1)
      // Not before the table calls the pages allocated: that would be another race (K26).
      if (arena.allocated() == kPages) arena.fault(page);
  });
  EXPECT_EQ(arena.alloc(kPages), 0);
  done = true;
  toucher.join();
  EXPECT_EQ(arena->extents(), (std::vector<PageExtent>{{{0, kPages}, Origin::program}}));
  EXPECT_EQ(arena.blocks(), kPages);
}

// A free of pages whose allocation has not returned yet waits for it.
TEST(ArenaRace, FreeOfAnAllocationUnderWayComesAfterIt) {
  constexpr uint32_t kPages = 20'000;
  TestArena arena(kPages);
  std::thread freer([&] {
    while (arena.allocated() != kPages) std::this_thread::yield();
    arena.free(0, kPages);
  });
  EXPECT_EQ(arena.alloc(kPages), 0);
  freer.join();
  EXPECT_EQ(arena.blocks(), 0U);
  EXPECT_EQ(arena.allocated(), 0U);
  EXPECT_EQ(arena.account().used(Resource::pages), 0U);
}

TEST(FairMutex, AThreadThatComesBackLetsAnotherIn) {
  FairMutex mutex;
  std::atomic<bool> entered{false};
  std::thread waiter;
  {
    const std::lock_guard guard(mutex);
    waiter = std::thread([&] {
      const std::lock_guard inner(mutex);
      entered = true;
    });
  }
  // However often we lock, the waiter gets its turn.
  while (!entered) const std::lock_guard guard(mutex);
  waiter.join();
}

}  // namespace
}  // namespace uarena::broker
