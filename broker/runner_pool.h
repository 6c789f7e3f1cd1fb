// Runners: the threads that read requests from run channels and carry them out themselves, so that
// a run costs one wake-up and no hand-off. All wait on one epoll set; a channel is armed for one
// event at a time, so its requests are answered in order. When every runner is busy another one is
// started, up to a limit, and ends when it has been idle for a while. After an answer a runner
// stays with its channel for a moment, since most clients ask again at once: it is then woken by
// the request itself, where the epoll set would wake whichever runner has waited longest.
//
// No uid gets more runners than its share: what it asks beyond that waits in a line of its own. So
// a client whose requests take long, or hang, slows others only through the machine's CPUs.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "broker/account.h"
#include "broker/arena_access.h"
#include "broker/estate.h"
#include "ipc/base/fd.h"
#include "ipc/base/result.h"
#include "ipc/scm_rights.h"
#include "jit/runtime.h"

namespace uarena::broker {

class NearCaller;

// The other side of a run channel, shared with the session that opened it.
struct RunClient {
  std::optional<Error> load_refusal;  // why it may not load programs (load_policy.h)
  uint64_t client_id = 0;
  Who who;
  jit::Caller caller;             // what programs that it runs take for the current task
  std::atomic<bool> gone{false};  // the session has ended: stop what is repeated
  std::atomic<uint32_t> channels{0};
  std::atomic<uint32_t> programs{0};  // loaded by this client, for inspection
};

// One run channel. One thread at a time has it in its hands.
struct RunChannel {
  Fd socket;
  std::shared_ptr<RunClient> client;
  LedgerSlot in_hand;  // where a successor sees what was begun
  EstateHold kept;     // the socket
  Charge descriptor = {};
  int cpu = -1;  // where the caller of the latest request ran; -1: unknown
};

class RunnerPool {
 public:
  // Carries out one request, which is still in the channel's socket, answers it, and takes it out.
  // The record is an error when none could be read. False: the channel is finished.
  using Handler = std::function<bool(RunChannel& channel, Result<ipc::Record> record)>;

  struct Size {
    unsigned threads = 1;  // at least so many runners
    unsigned limit = 1;    // at most
    unsigned share = 1;    // of them for one uid
  };
  static Result<std::unique_ptr<RunnerPool>> create(Size size, Handler handler);
  ~RunnerPool();  // waits for requests that are being carried out, however long

  // No request is begun any more, and loops of programs that run end soon. Waits for the requests
  // in hand; false: the limit has passed, and some hang on.
  bool stop(std::chrono::milliseconds limit);

  Result<void> adopt(RunChannel channel);
  // The client's session has ended: its channels are shut down, now or after the request in hand.
  void drop_client(uint64_t client_id);
  unsigned threads() const { return running_.load(std::memory_order_relaxed); }
  size_t channels() const;

 private:
  // One uid's use of the runners; there while it has channels.
  struct Share {
    size_t channels = 0;
    unsigned busy = 0;
    std::deque<int> waiting;  // channels with a request, oldest first
  };
  RunnerPool(Size size, Handler handler) : handler_(std::move(handler)), size_(size) {}
  void start_thread();
  void work();
  void leave();
  RunChannel* begin(int socket);
  std::optional<int> end(int socket, uint32_t uid, bool goes_on);
  std::optional<int> serve(int socket, NearCaller& near);
  void watch_again(int socket);
  RunChannel remove(int socket);

  Handler handler_;
  const Size size_;
  Fd epoll_;
  Fd stop_;
  std::atomic<bool> stopping_{false};
  std::atomic<unsigned> running_{0};
  std::atomic<unsigned> idle_{0};
  mutable std::mutex lock_;
  std::condition_variable ended_;
  std::unordered_map<int, RunChannel> channels_;  // by descriptor
  std::unordered_map<uint32_t, Share> shares_;    // by uid
};

}  // namespace uarena::broker
