// The set of live ExceptionRegions as the signal handler sees it: a sorted array that never changes
// once published. Writers (load and unload of programs) copy it, publish the copy and free the old
// one when no handler can still hold it; the handler only loads a pointer and searches, so it needs
// no lock and is never delayed by a writer.
//
// Reclaiming: readers announce themselves in one of two counters, chosen by the parity of an epoch.
// A writer turns the epoch and waits for the counter of the old parity, twice: a reader that read
// the epoch before a turn but announced itself after it is caught by the second wait. New readers
// go to the other counter, so a stream of faults can't starve the writer.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "jit/exception_table.h"

namespace uarena::jit {

class ExceptionRegistry {
 public:
  static ExceptionRegistry& instance();

  void add(const ExceptionRegion* region);
  // Returns when no reader can hold `region` any more.
  void remove(const ExceptionRegion* region);

  // Holds the array in place while it lives. Async-signal-safe, wait-free.
  class Reader {
   public:
    explicit Reader(ExceptionRegistry& registry);
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    // The region that contains `rip`, or nullptr.
    const ExceptionRegion* find(uint64_t rip) const;

   private:
    std::atomic<uint64_t>& inside_;
    const std::vector<const ExceptionRegion*>* regions_;
  };

 private:
  using Regions = std::vector<const ExceptionRegion*>;
  ExceptionRegistry() = default;
  void publish(Regions regions);
  void wait_for_readers();

  std::mutex writers_;
  std::atomic<const Regions*> published_{nullptr};
  std::atomic<uint32_t> epoch_{0};
  std::atomic<uint64_t> inside_[2] = {0, 0};
};

}  // namespace uarena::jit
