// One fault thread: an epoll over its clients' userfaultfds, and turns for those that have faults.
//
// Edge-triggered, because a client may clear O_NONBLOCK on the open file that it shares with us,
// and poll on such a userfaultfd says EPOLLERR forever; with edges only a fault wakes us. Clients
// that did not finish their turn are kept in a list and get another one in the next round.
//
// Clients are added and removed by other threads directly, under a lock that is held for look-ups
// only. remove() waits while its client is having a turn.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"
#include "uffd/fault_session.h"

namespace uarena::uffd {

class FaultWorker {
 public:
  // Starts the thread (`name` shows in /proc: at most 15 bytes), with all signals blocked but those
  // that a fault of its own raises.
  static Result<std::unique_ptr<FaultWorker>> create(const std::string& name);
  // Ends the thread; clients that are left are let go.
  ~FaultWorker();
  FaultWorker(const FaultWorker&) = delete;

  // `id` is not 0 and was never used before.
  Result<void> add(uint64_t id, std::unique_ptr<FaultSession> session);
  // The session, no longer used by the thread; empty for an id that is not here. Not from a fault
  // thread, and without a lock that a resolver takes.
  std::unique_ptr<FaultSession> remove(uint64_t id);

  size_t clients() const;
  // Turns given so far.
  uint64_t turns() const { return turns_.load(std::memory_order_relaxed); }

 private:
  FaultWorker() = default;
  void run();
  bool wait(std::vector<uint64_t>& ready, bool block);  // false: stop
  bool give_turn(uint64_t id);                          // true: wants another one
  void forget(FaultSession& session);

  Fd epoll_;
  Fd stop_;
  std::thread thread_;
  std::atomic<uint64_t> turns_{0};

  mutable std::mutex mutex_;
  std::condition_variable turn_over_;
  std::unordered_map<uint64_t, std::unique_ptr<FaultSession>> sessions_;
  uint64_t current_ = 0;  // whose turn it is
};

}  // namespace uarena::uffd
