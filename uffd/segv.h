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
#include <deque>
#include <optional>
#include <unordered_map>

#include "uffd/peer.h"
#include "uffd/poisoner.h"
#include "uffd/resolver.h"
#include "uffd/thread_identity.h"
#include "uffd/userfaultfd.h"

namespace uarena::uffd {

enum class SegvResult {
  signalled,  // the thread has its SIGSEGV
  poisoned,   // blocked, ignored, not permitted, or no such thread: SIGBUS, soon
  gone,       // the thread or its process is no more
  again,      // not now: the thread is asked to look again, and is refused if it does
};

// One per client: it remembers whom it has told what. One thread at a time.
class SegvSender {
 public:
  SegvResult refuse(Userfaultfd& uffd, const Peer& peer, const Fault& fault);

 private:
  // Threads whose descriptors (three each) are kept: looking for one takes longer than all the
  // rest.
  static constexpr size_t kMostKnown = 4;
  std::deque<ClientThread>::iterator find_known(uint32_t ptid);
  const ClientThread* look_at(const Peer& peer, uint32_t ptid);
  SegvResult poison(Userfaultfd& uffd, uint64_t page);
  bool is_to_be_asked(const Fault& fault, const ThreadStatus& status);

  struct Recent {
    uint64_t told = 0;   // the address of its last SIGSEGV, until it has been asked about it
    unsigned asked = 0;  // times in a row that it was seen out of its fault or with one pending
  };
  std::unordered_map<uint32_t, Recent> recent_;  // by ptid
  std::deque<ClientThread> known_;               // latest last
  Poisoner poisoner_;
};

}  // namespace uarena::uffd
