#include "uffd/segv.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "ipc/base/page.h"
#include "uffd/outcome.h"
#include "uffd/thread_identity.h"

namespace uarena::uffd {
namespace {

// A thread that faults in user mode takes a pending SIGSEGV before it can fault again, so it can be
// seen with one pending only for messages that were under way, which is at most a few in a row. A
// thread inside a system call (of a descriptor that is not user mode only) never takes it there: it
// faults again and again.
constexpr unsigned kDeafAfter = 4;
// A client with more such threads at a time than this has no claim to the finer distinction.
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

bool SegvSender::is_deaf(uint32_t ptid, bool pending) {
  if (!pending) {
    pending_.erase(ptid);
    return false;
  }
  const auto found = pending_.find(ptid);
  if (found == pending_.end() && pending_.size() == kMostRemembered) return true;
  unsigned& times = found == pending_.end() ? pending_[ptid] : found->second;
  times = std::min(times + 1, kDeafAfter);
  return times == kDeafAfter;
}

SegvResult SegvSender::poison(Userfaultfd& uffd, uint64_t page) {
  if (poisoner_.poison(uffd, page) == Poisoner::Answer::taken) return SegvResult::poisoned;
  uffd.wake(page, kPageSize);
  return SegvResult::again;
}

SegvResult SegvSender::refuse(Userfaultfd& uffd, const Peer& peer, const Fault& fault) {
  const uint64_t page = fault.address & kPageMask;
  // The thread sits in the fault, so what its status says stays true until it is signalled.
  const auto thread = find_thread(peer, fault.ptid);
  if (!thread && is_gone(peer)) return SegvResult::gone;
  if (!thread || !thread->status.takes_segv() || !thread->status.may_be_signalled_by(peer.uid) ||
      is_deaf(fault.ptid, thread->status.segv_pending))
    return poison(uffd, page);
  switch (outcome_of(Attempt::signal, send_segv(*thread, fault.address))) {
    case Outcome::installed:
      return SegvResult::signalled;
    case Outcome::discarded:
      return SegvResult::gone;
    default:
      return poison(uffd, page);
  }
}

}  // namespace uarena::uffd
