// What became of faults, counted: once per client, once for the whole process. Written by one fault
// thread (a client's) or all of them (the process's), read by anyone.
#pragma once

#include <atomic>
#include <cstdint>

namespace uarena::uffd {

struct FaultCounts {
  uint64_t served = 0;      // the page is there, the thread was woken
  uint64_t refused = 0;     // no page; each is one of signalled … deferred, or an error
  uint64_t signalled = 0;   // SIGSEGV queued
  uint64_t poisoned = 0;    // SIGBUS instead (segv.h)
  uint64_t gone = 0;        // nobody was left to answer
  uint64_t deferred = 0;    // raised again by the kernel
  uint64_t unexpected = 0;  // messages that we never ask for
  uint64_t errors = 0;      // answers that failed, descriptors that can't be read
};

class FaultCounters {
 public:
  FaultCounters() = default;
  FaultCounters(const FaultCounters&) = delete;
  FaultCounters& operator=(const FaultCounters&) = delete;

  // Each number is exact, all together need not be of one moment.
  FaultCounts read() const {
    const auto get = [](const auto& n) { return n.load(std::memory_order_relaxed); };
    return {get(served), get(refused),  get(signalled),  get(poisoned),
            get(gone),   get(deferred), get(unexpected), get(errors)};
  }

  std::atomic<uint64_t> served{0}, refused{0}, signalled{0}, poisoned{0}, gone{0}, deferred{0},
      unexpected{0}, errors{0};
};

}  // namespace uarena::uffd
