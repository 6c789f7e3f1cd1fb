// One client's userfaultfd in the hands of a fault thread: reads its messages, asks the resolver,
// answers. A turn is bounded in messages and in time, so that one client's flood (or one slow
// answer) is everyone's delay for a moment only.
#pragma once

#include <chrono>
#include <memory>

#include "uffd/counters.h"
#include "uffd/event_reader.h"
#include "uffd/latency.h"
#include "uffd/peer.h"
#include "uffd/resolver.h"
#include "uffd/segv.h"
#include "uffd/userfaultfd.h"

namespace uarena::uffd {

// What all clients of the process have in common.
struct FaultTotals {
  FaultCounters counters;
  LatencyHistogram latency;  // from reading a message to its answer, nanoseconds
};

enum class Turn {
  idle,    // all messages read and answered; the next fault wakes epoll
  more,    // there may be more: give it another turn, after the others
  broken,  // the descriptor can't be read and will not get better
};

// One thread at a time.
class FaultSession {
 public:
  static constexpr std::chrono::microseconds kTurnBudget{1000};

  FaultSession(Userfaultfd uffd, Peer peer, std::shared_ptr<Resolver> resolver,
               std::shared_ptr<FaultCounters> counters, FaultTotals& totals);

  Turn turn() noexcept;
  int fd() const { return uffd_.fd(); }
  pid_t pid() const { return peer_.pid; }
  Userfaultfd take() { return std::move(uffd_); }

 private:
  using Clock = std::chrono::steady_clock;

  bool refill();  // false: the descriptor is broken
  void answer(const Event& event);
  void report_unexpected(const Event& event);
  void serve(const Fault& fault);
  void refuse(const Fault& fault);
  void count(std::atomic<uint64_t> FaultCounters::* counter);

  Userfaultfd uffd_;
  Peer peer_;
  std::shared_ptr<Resolver> resolver_;
  std::shared_ptr<FaultCounters> counters_;
  FaultTotals& totals_;
  EventReader reader_;
  SegvSender segv_;
  EventReader::Batch batch_;  // read, and answered up to next_
  size_t next_ = 0;
  Clock::time_point read_at_{};
  bool told_unexpected_ = false;
};

}  // namespace uarena::uffd
