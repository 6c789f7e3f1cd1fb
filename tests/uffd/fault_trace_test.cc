// The ring of faults: against a list that keeps everything, and with writers and readers at once.
#include "uffd/fault_trace.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace uarena::uffd {
namespace {

FaultTrace trace_of(uint32_t entries) { return std::move(FaultTrace::create(entries).value()); }

// Every field follows from one number, so an entry that is made of two can be told.
TracedFault fault(uint64_t n) {
  TracedFault f;
  f.time_ns = n * 3 + 1;
  f.client = ~n;
  f.address = n << 12 | (n & 0xfff);
  f.latency_ns = n ^ 0x5555555555555555;
  f.thread = static_cast<uint32_t>(n * 7);
  f.thread_is_ours = n % 3 == 0;
  f.write = n % 2 == 0;
  f.end = static_cast<FaultEnd>(n % kFaultEnds);
  return f;
}

TracedFault numbered(TracedFault f, uint64_t number) {
  f.number = number;
  return f;
}

TEST(FaultTrace, StartsEmpty) {
  const FaultTrace trace = trace_of(4);
  const auto part = trace.read(0, 100);
  EXPECT_TRUE(part.faults.empty());
  EXPECT_EQ(part.next, 1u);
  EXPECT_EQ(part.lost, 0u);
}

TEST(FaultTrace, EveryFieldComesBack) {
  FaultTrace trace = trace_of(64);
  for (uint64_t n = 1; n <= 64; ++n) trace.add(fault(n * 0x0101010101));
  const auto part = trace.read(1, 100);
  ASSERT_EQ(part.faults.size(), 64u);
  for (uint64_t n = 1; n <= 64; ++n)
    EXPECT_EQ(part.faults[n - 1], numbered(fault(n * 0x0101010101), n));
}

TEST(FaultTrace, AReaderFromTheFutureGetsNothing) {
  FaultTrace trace = trace_of(4);
  trace.add(fault(1));
  const auto part = trace.read(100, 100);
  EXPECT_TRUE(part.faults.empty());
  EXPECT_EQ(part.next, 100u);
  EXPECT_EQ(part.lost, 0u);
}

// Readers that go on where they were, in parts of any size, against a list of all.
TEST(FaultTrace, LikeAListOfTheLatest) {
  const bool held = rc::check("as the model", [] {
    const uint32_t size = 1u << *rc::gen::inRange(0, 6);
    FaultTrace trace = trace_of(size);
    uint64_t added = 0, at = *rc::gen::inRange<uint64_t>(0, 3);
    const auto steps = *rc::gen::container<std::vector<std::pair<int, int>>>(
        rc::gen::pair(rc::gen::inRange(0, 90), rc::gen::inRange(0, 70)));
    for (const auto& [adds, most] : steps) {
      for (int i = 0; i < adds; ++i) trace.add(fault(++added));
      const auto part = trace.read(at, static_cast<size_t>(most));
      const uint64_t from = std::max<uint64_t>(at, 1);
      const uint64_t oldest = added > size ? added - size + 1 : 1;
      const uint64_t first = std::max(from, oldest);
      RC_ASSERT(part.lost == first - from);
      const uint64_t there = first <= added ? added - first + 1 : 0;
      RC_ASSERT(part.faults.size() == std::min<uint64_t>(there, static_cast<uint64_t>(most)));
      for (size_t i = 0; i < part.faults.size(); ++i)
        RC_ASSERT(part.faults[i] == numbered(fault(first + i), first + i));
      RC_ASSERT(part.next == first + part.faults.size());
      at = part.next;
    }
  });
  EXPECT_TRUE(held);
}

// A tiny ring, so that writers meet each other and readers all the time.
TEST(FaultTrace, NoReaderSeesHalfAnEntry) {
  constexpr uint64_t kWriters = 3, kEach = 100000;
  FaultTrace trace = trace_of(4);
  std::atomic<uint64_t> writing{kWriters};
  std::vector<std::thread> writers;
  for (uint64_t w = 0; w < kWriters; ++w)
    writers.emplace_back([&, w] {
      for (uint64_t i = 0; i < kEach; ++i) trace.add(fault(w * kEach + i));
      --writing;
    });
  uint64_t seen = 0, lost = 0, at = 1;
  const auto look = [&] {
    const auto part = trace.read(at, 100);
    for (const TracedFault& got : part.faults) {
      EXPECT_GE(got.number, at);
      EXPECT_EQ(got, numbered(fault(~got.client), got.number));
    }
    EXPECT_EQ(part.faults.size() + part.lost, part.next - at);
    seen += part.faults.size();
    lost += part.lost;
    at = part.next;
  };
  while (writing != 0) look();
  for (auto& writer : writers) writer.join();
  look();
  EXPECT_EQ(seen + lost, kWriters * kEach) << "each number is seen or said to be lost";
  EXPECT_EQ(at, kWriters * kEach + 1);
  // Whatever happened in it, every slot is of use again.
  for (uint64_t n = 1; n <= 4; ++n) trace.add(fault(n));
  EXPECT_EQ(trace.read(at, 100).faults.size(), 4u);
}

// With room for all nothing may be lost.
TEST(FaultTrace, NothingIsLostWhileThereIsRoom) {
  constexpr uint64_t kWriters = 4, kEach = 1000;
  FaultTrace trace = trace_of(4096);
  std::vector<std::thread> writers;
  for (uint64_t w = 0; w < kWriters; ++w)
    writers.emplace_back([&, w] {
      for (uint64_t i = 0; i < kEach; ++i) trace.add(fault(w * kEach + i));
    });
  for (auto& writer : writers) writer.join();
  const auto part = trace.read(0, SIZE_MAX);
  EXPECT_EQ(part.lost, 0u);
  ASSERT_EQ(part.faults.size(), kWriters * kEach);
  std::vector<bool> there(kWriters * kEach);
  for (const TracedFault& got : part.faults) there.at(~got.client) = true;
  EXPECT_EQ(std::count(there.begin(), there.end(), true), static_cast<int>(kWriters * kEach));
}

}  // namespace
}  // namespace uarena::uffd
