// One client's userfaultfd in the hands of a fault thread: reads its messages, asks the resolver,
// answers. A turn is bounded in messages and in time, so that one client's flood (or one slow
// answer) is everyone's delay for a moment only.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "uffd/around_window.h"
#include "uffd/counters.h"
#include "uffd/event_reader.h"
#include "uffd/fault_tally.h"
#include "uffd/fault_trace.h"
#include "uffd/peer.h"
#include "uffd/resolver.h"
#include "uffd/segv.h"
#include "uffd/userfaultfd.h"

namespace uarena::uffd {

// Who hears what became of one client's faults.
struct FaultAudience {
  // The client's own, and the sums that they are a part of for as long as the session is there.
  std::shared_ptr<FaultCounters> counters;
  std::vector<std::shared_ptr<FaultTally>> tallies = {};
  std::shared_ptr<FaultTrace> trace = {};  // may be null
  uint64_t client = 0;                     // its id there
};

enum class Turn {
  idle,    // all messages read and answered; the next fault wakes epoll
  more,    // there may be more: give it another turn, after the others
  broken,  // the descriptor can't be read and will not get better
};

// One thread at a time. With `around` more than 1 (or AroundWindow::kAuto) a fault that makes its
// page makes those behind it, too, and maps them into the client: that may wait for the client's
// memory lock, so such a session is given turns by a thread that nobody else waits for.
class FaultSession {
 public:
  static constexpr std::chrono::microseconds kTurnBudget{1000};

  FaultSession(Userfaultfd uffd, Peer peer, std::shared_ptr<Resolver> resolver,
               FaultAudience audience, uint32_t around = 1);

  Turn turn() noexcept;
  int fd() const { return uffd_.fd(); }
  pid_t pid() const { return peer_.pid; }
  Userfaultfd take() { return std::move(uffd_); }

 private:
  using Clock = std::chrono::steady_clock;

  bool refill();                                       // false: the descriptor is broken
  std::optional<FaultEnd> answer(const Event& event);  // none: it was no fault
  void report_unexpected(const Event& event);
  FaultEnd serve(const Fault& fault, FaultEnd end);
  FaultEnd refuse(const Fault& fault);
  void bring_around(const Fault& fault);
  uint32_t make(uint64_t address, uint32_t pages);
  void tell(const Fault& fault, FaultEnd end, uint64_t latency_ns);

  Userfaultfd uffd_;
  Peer peer_;
  std::shared_ptr<Resolver> resolver_;
  FaultAudience audience_;
  std::vector<TallyShare> shares_;
  bool same_pids_;  // a message's ptid is the thread's id in our pid namespace, too
  bool around_;
  AroundWindow window_;
  EventReader reader_;
  SegvSender segv_;
  EventReader::Batch batch_;  // read, and answered up to next_
  size_t next_ = 0;
  Clock::time_point read_at_{};
  uint64_t read_at_ns_ = 0;  // the same, CLOCK_REALTIME
  bool told_unexpected_ = false;
};

}  // namespace uarena::uffd
