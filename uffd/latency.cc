#include "uffd/latency.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace uarena::uffd {

// Values below 32 have a bucket each. Above, a value is shifted right until it lies in 32..63; the
// number of shifts chooses the row, the low five bits of the rest the bucket in it.
size_t LatencyHistogram::bucket_of(uint64_t value) {
  if (value < kSub) return static_cast<size_t>(value);
  const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBits;
  return (size_t{shift} + 1) * kSub + static_cast<size_t>((value >> shift) - kSub);
}

uint64_t LatencyHistogram::largest_in(size_t bucket) {
  if (bucket < kSub) return bucket;
  const unsigned shift = static_cast<unsigned>(bucket / kSub) - 1;
  const uint64_t smallest = (uint64_t{bucket % kSub} + kSub) << shift;
  return smallest + ((uint64_t{1} << shift) - 1);
}

void LatencyHistogram::add(const LatencyHistogram& other) {
  for (size_t i = 0; i < kBuckets; ++i)
    if (const uint64_t n = other.buckets_[i].load(std::memory_order_relaxed); n != 0)
      buckets_[i].fetch_add(n, std::memory_order_relaxed);
}

uint64_t LatencyHistogram::read(Counts& counts) const {
  uint64_t total = 0;
  for (size_t i = 0; i < kBuckets; ++i)
    total += counts[i] = buckets_[i].load(std::memory_order_relaxed);
  return total;
}

uint64_t LatencyHistogram::quantile_of(const Counts& counts, uint64_t total, double q) {
  if (total == 0) return 0;
  const auto wanted = static_cast<uint64_t>(std::ceil(q * static_cast<double>(total)));
  const uint64_t rank = std::clamp<uint64_t>(wanted, 1, total);
  uint64_t seen = 0;
  size_t bucket = 0;
  for (; bucket < kBuckets; ++bucket) {
    seen += counts[bucket];
    if (seen >= rank) break;
  }
  return largest_in(bucket);
}

uint64_t LatencyHistogram::count() const {
  Counts counts;
  return read(counts);
}

uint64_t LatencyHistogram::quantile(double q) const {
  Counts counts;
  const uint64_t total = read(counts);
  return quantile_of(counts, total, q);
}

LatencySummary LatencyHistogram::summary() const {
  Counts counts;
  const uint64_t total = read(counts);
  return {.count = total,
          .p50_ns = quantile_of(counts, total, 0.5),
          .p99_ns = quantile_of(counts, total, 0.99),
          .p999_ns = quantile_of(counts, total, 0.999),
          .max_ns = quantile_of(counts, total, 1.0)};
}

}  // namespace uarena::uffd
