#include "uffd/fault_session.h"

#include "ipc/base/log.h"
#include "ipc/base/page.h"
#include "uffd/outcome.h"

namespace uarena::uffd {

FaultSession::FaultSession(Userfaultfd uffd, Peer peer, std::shared_ptr<Resolver> resolver,
                           std::shared_ptr<FaultCounters> counters, FaultTotals& totals)
    : uffd_(std::move(uffd)),
      peer_(std::move(peer)),
      resolver_(std::move(resolver)),
      counters_(std::move(counters)),
      totals_(totals) {}

void FaultSession::count(std::atomic<uint64_t> FaultCounters::* counter) {
  (counters_.get()->*counter).fetch_add(1, std::memory_order_relaxed);
  (totals_.counters.*counter).fetch_add(1, std::memory_order_relaxed);
}

Turn FaultSession::turn() noexcept {
  const auto deadline = Clock::now() + kTurnBudget;
  if (next_ == batch_.events.size() && !refill()) return Turn::broken;
  while (next_ < batch_.events.size()) {
    answer(batch_.events[next_++]);
    const auto now = Clock::now();
    totals_.latency.record(static_cast<uint64_t>((now - read_at_).count()));
    if (now >= deadline) break;
  }
  return next_ < batch_.events.size() || batch_.more ? Turn::more : Turn::idle;
}

bool FaultSession::refill() {
  batch_ = reader_.read(uffd_.fd());
  next_ = 0;
  read_at_ = Clock::now();
  if (batch_.error == 0) return true;
  count(&FaultCounters::errors);
  log(LogLevel::warning, "fault.unreadable",
      {{"pid", peer_.pid}, {"error", strerrordesc_np(batch_.error)}});
  return false;
}

void FaultSession::answer(const Event& event) {
  if (event.kind != Event::Kind::missing_page) report_unexpected(event);
  if (event.kind == Event::Kind::unexpected) return;
  // A client can register more of its memory with its descriptor, and in other modes. That is not
  // the arena, so nobody is asked; the thread must not be left waiting all the same.
  if (event.kind == Event::Kind::missing_page && uffd_.covers(event.fault.address) &&
      resolver_->resolve(event.fault) == Verdict::present)
    serve(event.fault);
  else
    refuse(event.fault);
}

void FaultSession::report_unexpected(const Event& event) {
  count(&FaultCounters::unexpected);
  if (std::exchange(told_unexpected_, true)) return;  // the counter goes on
  log(LogLevel::warning, "fault.unexpected",
      {{"pid", peer_.pid},
       {"event", event.code},
       {"address", fmt::format("{:#x}", event.fault.address)}});
}

// The page is in the memory file: the thread looks again and finds it. (Waking costs about what
// mapping the page for it would, and never meets EAGAIN.)
void FaultSession::serve(const Fault& fault) {
  const int error = uffd_.wake(fault.address & kPageMask, kPageSize);
  const bool woken = outcome_of(Attempt::wake, error) == Outcome::present;
  count(woken ? &FaultCounters::served : &FaultCounters::errors);
}

void FaultSession::refuse(const Fault& fault) {
  count(&FaultCounters::refused);
  switch (segv_.refuse(uffd_, peer_, fault)) {
    case SegvResult::signalled:
      return count(&FaultCounters::signalled);
    case SegvResult::poisoned:
      return count(&FaultCounters::poisoned);
    case SegvResult::gone:
      return count(&FaultCounters::gone);
    case SegvResult::again:
      return count(&FaultCounters::deferred);
    case SegvResult::failed:
      return count(&FaultCounters::errors);
  }
}

}  // namespace uarena::uffd
