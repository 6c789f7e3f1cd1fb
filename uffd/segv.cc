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

// A message may be older than it looks: a signal takes a thread out of its fault, and when it is
// back it says so in another message. A thread that runs, or is about to take its SIGSEGV, is
// therefore left alone, and asks again if it still wants the page. In user mode that is over after
// a few times. A thread inside a system call (of a descriptor that is not user mode only) takes no
// signal there and faults again and again: after so many times in a row it is believed.
constexpr unsigned kBelievedAfter = 16;
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

bool SegvSender::is_under_way(uint32_t ptid, const ThreadStatus& status) {
  if (status.sleeps && !status.segv_pending) {
    restless_.erase(ptid);
    return false;
  }
  const auto found = restless_.find(ptid);
  if (found == restless_.end() && restless_.size() == kMostRemembered) return false;
  unsigned& times = found == restless_.end() ? restless_[ptid] : found->second;
  times = std::min(times + 1, kBelievedAfter);
  return times < kBelievedAfter;
}

SegvResult SegvSender::poison(Userfaultfd& uffd, uint64_t page) {
  switch (poisoner_.poison(uffd, page)) {
    case Poisoner::Answer::taken:
      return SegvResult::poisoned;
    case Poisoner::Answer::full:
      uffd.wake(page, kPageSize);
      return SegvResult::again;
    case Poisoner::Answer::failed:
      break;
  }
  return SegvResult::failed;
}

SegvResult SegvSender::refuse(Userfaultfd& uffd, const Peer& peer, const Fault& fault) {
  const uint64_t page = fault.address & kPageMask;
  const auto thread = find_thread(peer, fault.ptid);
  if (!thread && is_gone(peer)) return SegvResult::gone;
  if (thread && is_under_way(fault.ptid, thread->status)) {
    uffd.wake(page, kPageSize);
    return SegvResult::again;
  }
  if (!thread || !thread->status.takes_segv() || !thread->status.may_be_signalled_by(peer.uid) ||
      thread->status.segv_pending)
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
