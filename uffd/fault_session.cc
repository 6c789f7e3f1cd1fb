#include "uffd/fault_session.h"

#include <cerrno>

#include "ipc/base/clock.h"
#include "ipc/base/log.h"
#include "ipc/base/page.h"
#include "uffd/outcome.h"
#include "uffd/thread_identity.h"

namespace uarena::uffd {

FaultSession::FaultSession(Userfaultfd uffd, Peer peer, std::shared_ptr<Resolver> resolver,
                           FaultAudience audience, uint32_t around)
    : uffd_(std::move(uffd)),
      peer_(std::move(peer)),
      resolver_(std::move(resolver)),
      audience_(std::move(audience)),
      same_pids_(in_our_pid_namespace(peer_)),
      around_(around > 1),
      window_(around) {
  for (const auto& tally : audience_.tallies) shares_.emplace_back(tally, audience_.counters);
}

Turn FaultSession::turn() noexcept {
  const auto deadline = Clock::now() + kTurnBudget;
  if (next_ == batch_.events.size() && !refill()) return Turn::broken;
  while (next_ < batch_.events.size()) {
    const Event& event = batch_.events[next_++];
    const auto end = answer(event);
    const auto now = Clock::now();
    if (end) tell(event.fault, *end, static_cast<uint64_t>((now - read_at_).count()));
    audience_.counters->set_pending(batch_.events.size() - next_);
    if (now >= deadline) break;
  }
  return next_ < batch_.events.size() || batch_.more ? Turn::more : Turn::idle;
}

bool FaultSession::refill() {
  batch_ = reader_.read(uffd_.fd());
  next_ = 0;
  read_at_ = Clock::now();
  read_at_ns_ = realtime_ns();
  audience_.counters->set_pending(batch_.events.size());
  if (batch_.error == 0) return true;
  audience_.counters->count_unexpected();
  log(LogLevel::warning, "fault.unreadable",
      {{"pid", peer_.pid}, {"error", strerrordesc_np(batch_.error)}});
  return false;
}

void FaultSession::tell(const Fault& fault, FaultEnd end, uint64_t latency_ns) {
  audience_.counters->count(end, latency_ns);
  if (!audience_.trace) return;
  audience_.trace->add({.time_ns = read_at_ns_,
                        .client = audience_.client,
                        .address = fault.address,
                        .latency_ns = latency_ns,
                        .thread = fault.ptid,
                        .thread_is_ours = same_pids_,
                        .write = fault.write,
                        .end = end});
}

std::optional<FaultEnd> FaultSession::answer(const Event& event) {
  if (event.kind != Event::Kind::missing_page) report_unexpected(event);
  if (event.kind == Event::Kind::unexpected) return std::nullopt;
  // A client can register more of its memory with its descriptor, and in other modes. That is not
  // the arena, so nobody is asked; the thread must not be left waiting all the same.
  if (event.kind != Event::Kind::missing_page || !uffd_.covers(event.fault.address))
    return refuse(event.fault);
  switch (resolver_->resolve(event.fault)) {
    case Verdict::installed:
      if (around_) bring_around(event.fault);
      return serve(event.fault, FaultEnd::installed);
    case Verdict::present:
      return serve(event.fault, FaultEnd::present);
    case Verdict::refuse:
      break;
  }
  return refuse(event.fault);
}

void FaultSession::report_unexpected(const Event& event) {
  audience_.counters->count_unexpected();
  if (std::exchange(told_unexpected_, true)) return;  // the counter goes on
  log(LogLevel::warning, "fault.unexpected",
      {{"pid", peer_.pid},
       {"event", event.code},
       {"address", fmt::format("{:#x}", event.fault.address)}});
}

// The page is in the memory file: the thread looks again and finds it. (Waking costs about what
// mapping the page for it would, and never meets EAGAIN.)
FaultEnd FaultSession::serve(const Fault& fault, FaultEnd end) {
  const int error = uffd_.wake(fault.address & kPageMask, kPageSize);
  return outcome_of(Attempt::wake, error) == Outcome::present ? end : FaultEnd::error;
}

// While the thread waits: were it woken first, it would meet the next absent page before that is
// made.
void FaultSession::bring_around(const Fault& fault) {
  const uint64_t page = fault.address & kPageMask;
  const uint32_t wanted = window_.wanted(page >> kPageShift);
  if (wanted == 1) return;
  const uint32_t more = resolver_->make_around(
      page + kPageSize, wanted - 1,
      [this](uint64_t address, uint32_t pages) { return make(address, pages); });
  window_.made(1 + more);
  audience_.counters->count_around(more);
}

// In the file and in the client's page table at once, so that its touches meet no fault at all. A
// page that is in the file already is passed over: the client will find it. Where the client has
// changed its mapping, or no memory is left, the rest is for its own faults.
uint32_t FaultSession::make(uint64_t address, uint32_t pages) {
  const uint64_t length = pages * kPageSize;
  uint64_t done = 0;
  while (done < length) {
    const RangeResult made = uffd_.zeropage(address + done, length - done);
    done += made.done;
    if (made.error == EEXIST)
      done += kPageSize;
    else if (made.error != 0)
      break;
  }
  return static_cast<uint32_t>(done >> kPageShift);
}

FaultEnd FaultSession::refuse(const Fault& fault) {
  switch (segv_.refuse(uffd_, peer_, fault)) {
    case SegvResult::signalled:
      return FaultEnd::signalled;
    case SegvResult::poisoned:
      return FaultEnd::poisoned;
    case SegvResult::gone:
      return FaultEnd::discarded;
    case SegvResult::again:
      return FaultEnd::deferred;
  }
  return FaultEnd::error;
}

}  // namespace uarena::uffd
