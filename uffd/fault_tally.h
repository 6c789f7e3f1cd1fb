// Sums over the counters of many attachments: those that an arena has and had, those of a client,
// those of the whole process. An attachment's counters belong to several such sums and are counted
// in each of them from its beginning to its end and, as their last values, after it; so the sums
// agree with each other by construction.
//
// The lock is for those who attach, detach and ask. No fault thread ever takes it.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_set>

#include "uffd/counters.h"

namespace uarena::uffd {

struct FaultSummary {
  FaultCounts counts;
  uint64_t pending = 0;
  LatencySummary latency;
};

class FaultTally {
 public:
  FaultTally() = default;
  FaultTally(const FaultTally&) = delete;

  FaultCounts counts() const;
  FaultSummary summary() const;

 private:
  friend class TallyShare;

  mutable std::mutex lock_;
  std::unordered_set<std::shared_ptr<const FaultCounters>> live_;
  FaultCounts past_;
  LatencyHistogram past_latency_;
};

// One attachment's part in a sum; with its end the counters, which nobody writes any more, become
// part of the past. An attachment that goes from one fault thread to another may have a share anew,
// with counters of its own.
class TallyShare {
 public:
  TallyShare(std::shared_ptr<FaultTally> tally, std::shared_ptr<const FaultCounters> counters);
  TallyShare(TallyShare&&) = default;
  TallyShare& operator=(TallyShare&&) = delete;
  ~TallyShare();

 private:
  std::shared_ptr<FaultTally> tally_;  // null after a move
  std::shared_ptr<const FaultCounters> counters_;
};

}  // namespace uarena::uffd
