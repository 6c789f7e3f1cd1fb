// How long things take, as a histogram that any number of threads can add to without waiting for
// each other. Log-linear: 32 buckets per power of two, so that a quantile read back is never below
// the exact one and at most 1/32 above it, from nanoseconds to centuries, in 15 KiB.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace uarena::uffd {

struct LatencySummary {
  uint64_t count = 0;
  uint64_t p50_ns = 0;
  uint64_t p99_ns = 0;
  uint64_t p999_ns = 0;
  uint64_t max_ns = 0;
};

class LatencyHistogram {
 public:
  // Wait-free: one relaxed addition.
  void record(uint64_t ns) { buckets_[bucket_of(ns)].fetch_add(1, std::memory_order_relaxed); }

  // What the other one has counted so far counts here, too.
  void add(const LatencyHistogram& other);

  uint64_t count() const;
  // The smallest bucket bound that at least fraction `q` (0..1] of all values do not exceed; 0 when
  // there are no values. Values recorded meanwhile may or may not count.
  uint64_t quantile(double q) const;
  LatencySummary summary() const;

 private:
  static constexpr unsigned kSubBits = 5;
  static constexpr size_t kSub = size_t{1} << kSubBits;
  static constexpr size_t kBuckets = (64 - kSubBits + 1) * kSub;
  using Counts = std::array<uint64_t, kBuckets>;

  static size_t bucket_of(uint64_t value);
  static uint64_t largest_in(size_t bucket);
  static uint64_t quantile_of(const Counts& counts, uint64_t total, double q);
  uint64_t read(Counts& counts) const;  // the total

  std::array<std::atomic<uint64_t>, kBuckets> buckets_{};
};

}  // namespace uarena::uffd
