#include "uffd/segv.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "ipc/base/page.h"
#include "uffd/outcome.h"
#include "uffd/thread_identity.h"

namespace uarena::uffd {
namespace {

// A thread inside a system call (of a descriptor that is not user mode only) takes no signal there,
// and faults again and again with one pending: after so many times in a row it is not asked again.
constexpr unsigned kBelievedAfter = 16;
// Of a client that has more such threads the oldest are as good as the newest: all are forgotten.
constexpr size_t kMostRemembered = 256;

int send_segv(const ClientThread& thread, uint64_t address) {
  siginfo_t info{};
  info.si_signo = SIGSEGV;
  info.si_code = SI_SIGIO;
  static_assert(sizeof info.si_band == sizeof address);
  std::memcpy(&info.si_band, &address, sizeof address);
  const long sent =
      ::syscall(SYS_pidfd_send_signal, thread.pidfd.get(), SIGSEGV, &info, /*flags=*/0);
  return sent == 0 ? 0 : errno;
}

bool is_gone(const Peer& peer) {
  return ::syscall(SYS_pidfd_send_signal, peer.pidfd.get(), 0, nullptr, 0) != 0 && errno == ESRCH;
}

}  // namespace

// A message may be older than it looks: a signal takes a thread out of its fault, and when it is
// back it says so in another message. Then the first has been answered by a SIGSEGV, and by the
// time of the second the thread is in its handler or somewhere else. So a thread that runs, or is
// about to take its SIGSEGV, or has been told of this very address, is asked whether it still wants
// the page: it is woken, and faults again if it does.
bool SegvSender::is_to_be_asked(const Fault& fault, const ThreadStatus& status) {
  if (recent_.size() == kMostRemembered && !recent_.contains(fault.ptid)) recent_.clear();
  Recent& recent = recent_[fault.ptid];
  const bool told = std::exchange(recent.told, 0) == fault.address;
  if (status.sleeps && !status.segv_pending) {
    recent.asked = 0;
    return told;
  }
  recent.asked = std::min(recent.asked + 1, kBelievedAfter);
  return recent.asked < kBelievedAfter;
}

std::deque<ClientThread>::iterator SegvSender::find_known(uint32_t ptid) {
  return std::ranges::find(known_, ptid,
                           [](const ClientThread& thread) { return thread.status.innermost_tid; });
}

// The descriptors of a thread that was found before are that thread's for ever, so one read tells
// how it stands now.
const ClientThread* SegvSender::look_at(const Peer& peer, uint32_t ptid) {
  if (const auto known = find_known(ptid); known != known_.end()) {
    if (const auto status = status_now(peer, *known)) {
      known->status = *status;
      return &*known;
    }
    known_.erase(known);  // it has ended, and another may have its number
  }
  auto found = find_thread(peer, ptid);
  if (!found) return nullptr;
  if (known_.size() == kMostKnown) known_.pop_front();
  return &known_.emplace_back(std::move(*found));
}

SegvResult SegvSender::poison(Userfaultfd& uffd, uint64_t page) {
  if (poisoner_.poison(uffd, page) == Poisoner::Answer::taken) return SegvResult::poisoned;
  uffd.wake(page, kPageSize);
  return SegvResult::again;
}

SegvResult SegvSender::refuse(Userfaultfd& uffd, const Peer& peer, const Fault& fault) {
  const uint64_t page = fault.address & kPageMask;
  const ClientThread* thread = look_at(peer, fault.ptid);
  if (thread == nullptr && is_gone(peer)) return SegvResult::gone;
  if (thread != nullptr && is_to_be_asked(fault, thread->status)) {
    uffd.wake(page, kPageSize);
    return SegvResult::again;
  }
  if (thread == nullptr || !thread->status.takes_segv() ||
      !thread->status.may_be_signalled_by(peer.uid) || thread->status.segv_pending)
    return poison(uffd, page);
  switch (outcome_of(Attempt::signal, send_segv(*thread, fault.address))) {
    case Outcome::installed:
      recent_[fault.ptid].told = fault.address;
      return SegvResult::signalled;
    case Outcome::discarded:
      return SegvResult::gone;
    default:
      return poison(uffd, page);
  }
}

}  // namespace uarena::uffd
