// Answers the page faults of all clients. N threads, and each client's userfaultfd belongs to one
// of them: the thread reads the messages, asks the client's Resolver what each fault means, and
// answers it: wakes the faulting thread, or sends it a SIGSEGV.
//
// Nothing that one client does, or that happens to it, stops the others: its turns are bounded, its
// errors are counted and end with its own descriptor.
//
// Threads: all calls from any thread but the fault threads themselves (so not from a Resolver).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "ipc/base/result.h"
#include "uffd/fault_session.h"
#include "uffd/fault_tally.h"
#include "uffd/fault_worker.h"
#include "uffd/peer.h"
#include "uffd/resolver.h"
#include "uffd/userfaultfd.h"

namespace uarena::uffd {

class FaultLoop {
 public:
  using Id = uint64_t;  // never 0, never used twice

  // `threads` 0: one per CPU that this process may use.
  static Result<std::unique_ptr<FaultLoop>> create(unsigned threads = 0);
  // Stops the threads. Clients that were not dropped lose their descriptor here.
  ~FaultLoop() = default;
  FaultLoop(const FaultLoop&) = delete;

  // From now on faults of that range are answered, including those that wait already. The resolver
  // is called on one thread at a time. The audience hears of its faults until it is dropped.
  // `around`: pages that a fault brings (AroundWindow); such a client has a thread of its own,
  // which may wait for the client's memory lock.
  Result<Id> adopt(Userfaultfd uffd, Peer peer, std::shared_ptr<Resolver> resolver,
                   FaultAudience audience, uint32_t around = 1);

  // The same on a chosen thread (0..threads()-1), for a fault that this process raises itself to
  // see whether it is answered: it is no client's, so summary() passes over it.
  Result<Id> adopt_probe(size_t thread, Userfaultfd uffd, Peer self,
                         std::shared_ptr<Resolver> resolver);

  // Ends that. When it returns no thread uses the client's things: the resolver is not called any
  // more, the counters are final. Waits for a turn under way (about a millisecond; of a client with
  // a thread of its own as long as that client keeps its memory lock), so the caller holds no lock
  // that the resolver takes. Empty when there is no such client (dropped before).
  // Faults that were not answered go on waiting as long as the userfaultfd, which is handed back,
  // is open somewhere; wake() over the range raises them again for a successor.
  std::optional<Userfaultfd> drop(Id id);

  // Those that many clients share.
  size_t threads() const { return workers_.size(); }
  size_t clients() const;
  // Of all clients that are here or were.
  FaultSummary summary() const { return total_->summary(); }
  // How often any client had a turn; beside the faults it shows whether a thread spins.
  uint64_t turns() const;

 private:
  FaultLoop() = default;
  size_t least_loaded() const;
  Result<Id> add(size_t thread, std::unique_ptr<FaultSession> session);
  Result<Id> add_lone(std::unique_ptr<FaultSession> session);

  const std::shared_ptr<FaultTally> total_ = std::make_shared<FaultTally>();
  std::atomic<uint64_t> next_{1};
  // Last, so that the threads end before what they use.
  std::vector<std::unique_ptr<FaultWorker>> workers_;
  // Clients with a thread of their own.
  mutable std::mutex lone_lock_;
  std::unordered_map<Id, std::unique_ptr<FaultWorker>> lone_;
};

}  // namespace uarena::uffd
