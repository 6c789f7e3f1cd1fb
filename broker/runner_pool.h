// Runners: the threads that read requests from run channels and carry them out themselves, so that
// a run costs one wake-up and no hand-off. All wait on one epoll set; a channel is armed for one
// event at a time, so its requests are answered in order. When every runner is busy another one is
// started, up to a limit, and ends when it has been idle for a while: a client whose programs take
// long slows others only through the machine's CPUs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"

namespace uarena::broker {

// The other side of a run channel, shared with the session that opened it.
struct RunClient {
  uint64_t client_id = 0;
  uint32_t uid = 0;
  std::atomic<bool> gone{false};  // the session has ended: stop what is repeated
  std::atomic<uint32_t> channels{0};
  std::atomic<uint32_t> programs{0};  // loaded by this client, for inspection
};

class RunnerPool {
 public:
  // Handles one readable channel: reads one record and answers it. False: the channel is finished.
  using Handler = std::function<bool(int socket, RunClient& client)>;

  // At least `threads` runners, at most `limit`.
  static Result<std::unique_ptr<RunnerPool>> create(unsigned threads, unsigned limit,
                                                    Handler handler);
  ~RunnerPool();  // waits for requests that are being carried out

  Result<void> adopt(Fd socket, std::shared_ptr<RunClient> client);
  // The client's session has ended: its channels are shut down, now or after the request in hand.
  void drop_client(uint64_t client_id);
  unsigned threads() const { return running_.load(std::memory_order_relaxed); }
  size_t channels() const;

 private:
  struct Channel {
    Fd socket;
    std::shared_ptr<RunClient> client;
  };
  RunnerPool(unsigned threads, unsigned limit, Handler handler);
  void start_thread();
  void work();
  void leave();
  void finish(int socket);

  Handler handler_;
  unsigned wanted_;
  unsigned limit_;
  Fd epoll_;
  Fd stop_;
  std::atomic<bool> stopping_{false};
  std::atomic<unsigned> running_{0};
  std::atomic<unsigned> idle_{0};
  mutable std::mutex lock_;
  std::condition_variable ended_;
  std::unordered_map<int, Channel> channels_;  // by descriptor
};

}  // namespace uarena::broker
