// Sums over attachments that come and go: nothing is counted twice, nothing is lost.
#include "uffd/fault_tally.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace uarena::uffd {
namespace {

auto counters() { return std::make_shared<FaultCounters>(); }

TEST(FaultTally, EmptyIsZero) {
  const FaultTally tally;
  EXPECT_EQ(tally.counts().all(), 0u);
  EXPECT_EQ(tally.summary().pending, 0u);
  EXPECT_EQ(tally.summary().latency.count, 0u);
}

TEST(FaultTally, EveryEndIsOneOfAll) {
  FaultCounters one;
  for (size_t end = 0; end < kFaultEnds; ++end)
    for (size_t i = 0; i <= end; ++i) one.count(static_cast<FaultEnd>(end), 10);
  one.count_unexpected();
  const FaultCounts counts = one.read();
  for (size_t end = 0; end < kFaultEnds; ++end)
    EXPECT_EQ(counts.of(static_cast<FaultEnd>(end)), end + 1);
  EXPECT_EQ(counts.served(), 1u + 2);
  EXPECT_EQ(counts.denied(), 5u + 6);
  EXPECT_EQ(counts.all(), 28u) << "without what was no fault";
  EXPECT_EQ(counts.refused(), 25u);
  EXPECT_EQ(counts.unexpected, 1u);
  EXPECT_EQ(one.latency().count(), 28u);
}

TEST(FaultTally, ThoseWhoAreGoneStillCount) {
  const auto arena = std::make_shared<FaultTally>();
  const auto client = std::make_shared<FaultTally>();
  const auto first = counters(), second = counters();
  {
    const TallyShare in_arena(arena, first), of_client(client, first), other(arena, second);
    first->count(FaultEnd::installed, 100);
    first->count(FaultEnd::signalled, 3'000'000);
    second->count(FaultEnd::present, 50);
    second->set_pending(3);
    EXPECT_EQ(arena->counts().all(), 3u);
    EXPECT_EQ(client->counts().all(), 2u);
    EXPECT_EQ(arena->summary().pending, 3u);
  }
  for (int again = 0; again < 2; ++again) {
    const FaultSummary sum = arena->summary();
    EXPECT_EQ(sum.counts.of(FaultEnd::installed), 1u);
    EXPECT_EQ(sum.counts.of(FaultEnd::present), 1u);
    EXPECT_EQ(sum.counts.of(FaultEnd::signalled), 1u);
    EXPECT_EQ(sum.counts.all(), 3u);
    EXPECT_EQ(sum.pending, 0u) << "who is gone waits no more";
    EXPECT_EQ(sum.latency.count, 3u);
    EXPECT_GE(sum.latency.max_ns, 3'000'000u);
  }
  EXPECT_EQ(client->counts().all(), 2u);
}

TEST(FaultTally, AMovedShareEndsOnce) {
  const auto tally = std::make_shared<FaultTally>();
  const auto one = counters();
  one->count(FaultEnd::present, 1);
  {
    std::vector<TallyShare> shares;
    for (int i = 0; i < 10; ++i) shares.emplace_back(tally, i == 0 ? one : counters());
    EXPECT_EQ(tally->counts().all(), 1u);
  }
  EXPECT_EQ(tally->counts().all(), 1u);
}

// What a reader sees never goes back, whoever comes and goes meanwhile.
TEST(FaultTally, SumsNeverShrink) {
  constexpr uint64_t kRounds = 2000, kEach = 5;
  const auto tally = std::make_shared<FaultTally>();
  std::atomic<bool> over{false};
  std::thread reader([&] {
    uint64_t before = 0;
    while (!over) {
      const uint64_t now = tally->counts().all();
      EXPECT_GE(now, before);
      before = now;
    }
  });
  std::vector<std::thread> clients;
  for (int t = 0; t < 2; ++t)
    clients.emplace_back([&] {
      for (uint64_t round = 0; round < kRounds; ++round) {
        const auto own = counters();
        const TallyShare share(tally, own);
        for (uint64_t i = 0; i < kEach; ++i) own->count(FaultEnd::installed, i);
      }
    });
  for (auto& client : clients) client.join();
  over = true;
  reader.join();
  EXPECT_EQ(tally->counts().all(), 2 * kRounds * kEach);
  EXPECT_EQ(tally->summary().latency.count, 2 * kRounds * kEach);
}

}  // namespace
}  // namespace uarena::uffd
