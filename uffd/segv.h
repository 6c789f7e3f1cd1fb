// Ends a refused fault the way the kernel's arena does: SIGSEGV at the exact address. The signal is
// queued in SI_SIGIO layout, whose si_band lies where si_addr is and is not rewritten for other
// namespaces, so that a handler sees si_code -5 and the exact si_addr. Where that signal would not
// be taken, the page is poisoned instead: the thread leaves the fault by SIGBUS (or EFAULT, in a
// system call) rather than fault again forever. No client is ever left waiting or spinning.
//
// Poisoning may wait for the memory lock of the client's process, which a client can keep as long
// as it likes (poisoner.h), so it is asked for here and done elsewhere.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "uffd/peer.h"
#include "uffd/poisoner.h"
#include "uffd/resolver.h"
#include "uffd/userfaultfd.h"

namespace uarena::uffd {

enum class SegvResult {
  signalled,  // the thread has its SIGSEGV
  poisoned,   // blocked, ignored, not permitted, or no such thread: SIGBUS, soon
  gone,       // the thread or its process is no more
  again,      // nothing can be done now: the thread looks again and is refused again
};

// One per client: it remembers who was signalled and did not listen. One thread at a time.
class SegvSender {
 public:
  SegvResult refuse(Userfaultfd& uffd, const Peer& peer, const Fault& fault);

 private:
  SegvResult poison(Userfaultfd& uffd, uint64_t page);
  bool is_deaf(uint32_t ptid, bool pending);

  // Threads that had a SIGSEGV pending when they faulted again, and how often in a row.
  std::unordered_map<uint32_t, unsigned> pending_;
  Poisoner poisoner_;
};

}  // namespace uarena::uffd
