// The histogram against exact quantiles of the same values.
#include "uffd/latency.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>
#include <vector>

namespace uarena::uffd {
namespace {

// Never below the exact value, never more than 1/32 above it.
bool close_above(uint64_t reported, uint64_t exact) {
  return reported >= exact && reported - exact <= exact / 32;
}

uint64_t exact_quantile(std::vector<uint64_t> values, double q) {
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(values.size())));
  return values[std::clamp<size_t>(rank, 1, values.size()) - 1];
}

// Values of all magnitudes: uniform in the number of bits.
std::vector<uint64_t> spread(uint64_t seed, size_t count) {
  std::mt19937_64 random(seed);
  std::vector<uint64_t> values(count);
  for (uint64_t& value : values) value = random() >> (random() % 64);
  return values;
}

TEST(Latency, EmptyIsZero) {
  const LatencyHistogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.quantile(0.5), 0u);
  EXPECT_EQ(histogram.summary().max_ns, 0u);
}

TEST(Latency, SmallValuesAreExact) {
  for (uint64_t value = 0; value < 64; ++value) {
    LatencyHistogram histogram;
    histogram.record(value);
    EXPECT_EQ(histogram.quantile(1.0), value);
  }
}

TEST(Latency, EdgesOfTheRange) {
  for (unsigned bit = 0; bit < 64; ++bit) {
    for (const uint64_t value : {(uint64_t{1} << bit) - 1, uint64_t{1} << bit}) {
      LatencyHistogram histogram;
      histogram.record(value);
      EXPECT_TRUE(close_above(histogram.quantile(1.0), value)) << value;
    }
  }
  LatencyHistogram histogram;
  histogram.record(~uint64_t{0});
  EXPECT_EQ(histogram.summary().max_ns, ~uint64_t{0});
}

TEST(Latency, QuantilesOfAnyValues) {
  const bool held = rc::check("within 1/32 above the exact quantile", [] {
    const auto seed = *rc::gen::arbitrary<uint64_t>();
    const auto count = *rc::gen::inRange<size_t>(1, 2000);
    const auto q = *rc::gen::inRange(1, 1001) / 1000.0;
    const auto values = spread(seed, count);
    LatencyHistogram histogram;
    for (const uint64_t value : values) histogram.record(value);
    RC_ASSERT(histogram.count() == count);
    RC_ASSERT(close_above(histogram.quantile(q), exact_quantile(values, q)));
    const LatencySummary summary = histogram.summary();
    RC_ASSERT(summary.count == count);
    RC_ASSERT(close_above(summary.p50_ns, exact_quantile(values, 0.5)));
    RC_ASSERT(close_above(summary.p99_ns, exact_quantile(values, 0.99)));
    RC_ASSERT(close_above(summary.p999_ns, exact_quantile(values, 0.999)));
    RC_ASSERT(close_above(summary.max_ns, *std::max_element(values.begin(), values.end())));
  });
  EXPECT_TRUE(held);
}

TEST(Latency, AddedUpTheyAreOneHistogramOfAll) {
  LatencyHistogram sum, all;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    LatencyHistogram one;
    for (const uint64_t value : spread(seed, 500)) {
      one.record(value);
      all.record(value);
    }
    sum.add(one);
  }
  EXPECT_EQ(sum.count(), 1500u);
  for (const double q : {0.001, 0.5, 0.9, 0.99, 0.999, 1.0})
    EXPECT_EQ(sum.quantile(q), all.quantile(q)) << q;
}

TEST(Latency, NothingIsLostBetweenThreads) {
  constexpr uint64_t kEach = 20000;
  LatencyHistogram histogram;
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t)
    threads.emplace_back([&histogram, t] {
      for (uint64_t i = 0; i < kEach; ++i) histogram.record(i * (t + 1));
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(histogram.count(), 4 * kEach);
}

}  // namespace
}  // namespace uarena::uffd
