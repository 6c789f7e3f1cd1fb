// What became of faults, counted, and how long their answers took: once per attachment (one client
// in one arena). Each of these has one writer, the fault thread that has the attachment, and a
// cache line of counters to itself, so that counting never makes two fault threads wait for each
// other; sums over many are made when somebody asks (fault_tally.h). Read by anyone at any time.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "uffd/latency.h"

namespace uarena::uffd {

// How a fault ended. Each fault that was answered ended in one of these ways.
enum class FaultEnd : uint8_t {
  installed,  // the page is new: made for this fault; its thread was woken
  present,    // the page was there by then; its thread was woken
  deferred,   // no page, and not now: the kernel raises it again
  discarded,  // nobody was left to answer
  signalled,  // denied: SIGSEGV queued
  poisoned,   // denied: SIGBUS instead (segv.h)
  error,      // the answer failed
};
inline constexpr size_t kFaultEnds = 7;

struct FaultCounts {
  std::array<uint64_t, kFaultEnds> ends{};
  uint64_t around = 0;      // pages that were made with one that was asked for
  uint64_t unexpected = 0;  // messages that we never ask for, descriptors that can't be read

  uint64_t of(FaultEnd end) const { return ends[static_cast<size_t>(end)]; }
  uint64_t served() const { return of(FaultEnd::installed) + of(FaultEnd::present); }
  uint64_t denied() const { return of(FaultEnd::signalled) + of(FaultEnd::poisoned); }
  uint64_t all() const {
    uint64_t sum = 0;
    for (const uint64_t n : ends) sum += n;
    return sum;
  }
  // Without a page: denied, deferred, discarded, or an answer that failed.
  uint64_t refused() const { return all() - served(); }

  FaultCounts& operator+=(const FaultCounts& other) {
    for (size_t i = 0; i < kFaultEnds; ++i) ends[i] += other.ends[i];
    around += other.around;
    unexpected += other.unexpected;
    return *this;
  }
};

class FaultCounters {
 public:
  FaultCounters() = default;
  FaultCounters(const FaultCounters&) = delete;
  FaultCounters& operator=(const FaultCounters&) = delete;

  void count(FaultEnd end, uint64_t latency_ns) {
    ends_[static_cast<size_t>(end)].fetch_add(1, std::memory_order_relaxed);
    latency_.record(latency_ns);
  }
  void count_around(uint32_t pages) { around_.fetch_add(pages, std::memory_order_relaxed); }
  void count_unexpected() { unexpected_.fetch_add(1, std::memory_order_relaxed); }
  // Messages that were read and not yet answered.
  void set_pending(uint64_t faults) { pending_.store(faults, std::memory_order_relaxed); }

  // Each number is exact, all together need not be of one moment.
  FaultCounts read() const {
    FaultCounts counts;
    for (size_t i = 0; i < kFaultEnds; ++i)
      counts.ends[i] = ends_[i].load(std::memory_order_relaxed);
    counts.around = around_.load(std::memory_order_relaxed);
    counts.unexpected = unexpected_.load(std::memory_order_relaxed);
    return counts;
  }
  uint64_t pending() const { return pending_.load(std::memory_order_relaxed); }
  // From reading a message to its answer, nanoseconds.
  const LatencyHistogram& latency() const { return latency_; }

 private:
  static constexpr size_t kCacheLine = 64;

  alignas(kCacheLine) std::array<std::atomic<uint64_t>, kFaultEnds> ends_{};
  std::atomic<uint64_t> around_{0};
  std::atomic<uint64_t> unexpected_{0};
  std::atomic<uint64_t> pending_{0};
  LatencyHistogram latency_;
};

}  // namespace uarena::uffd
