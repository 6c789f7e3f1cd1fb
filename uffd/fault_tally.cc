#include "uffd/fault_tally.h"

#include <utility>

namespace uarena::uffd {

TallyShare::TallyShare(std::shared_ptr<FaultTally> tally,
                       std::shared_ptr<const FaultCounters> counters)
    : tally_(std::move(tally)), counters_(std::move(counters)) {
  const std::lock_guard guard(tally_->lock_);
  tally_->live_.insert(counters_);
}

TallyShare::~TallyShare() {
  if (!tally_) return;
  const std::lock_guard guard(tally_->lock_);
  tally_->live_.erase(counters_);
  tally_->past_ += counters_->read();
  tally_->past_latency_.add(counters_->latency());
}

FaultCounts FaultTally::counts() const {
  const std::lock_guard guard(lock_);
  FaultCounts sum = past_;
  for (const auto& counters : live_) sum += counters->read();
  return sum;
}

FaultSummary FaultTally::summary() const {
  FaultSummary summary;
  const auto latency = std::make_unique<LatencyHistogram>();
  {
    const std::lock_guard guard(lock_);
    summary.counts = past_;
    latency->add(past_latency_);
    for (const auto& counters : live_) {
      summary.counts += counters->read();
      summary.pending += counters->pending();
      latency->add(counters->latency());
    }
  }
  summary.latency = latency->summary();
  return summary;
}

}  // namespace uarena::uffd
