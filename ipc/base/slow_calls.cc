#include "ipc/base/slow_calls.h"

#include <pthread.h>
#include <signal.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_map>

#include "ipc/base/log.h"

namespace uarena {

bool call_slowly(std::function<void()> call) {
  // Not destroyed with a thread that never came to be.
  auto* const held = new std::function<void()>(std::move(call));
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = true;
  try {
    std::thread([held] {
      ::pthread_setname_np(::pthread_self(), "slow");
      (*held)();
      delete held;
    }).detach();
  } catch (const std::system_error& error) {
    started = false;
    log(LogLevel::warning, "slow_call.lost", {{"error", error.what()}});
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

struct SlowCalls::State {
  using Queue = std::deque<std::function<void()>>;  // the first one is being made

  mutable std::mutex lock;
  std::condition_variable ended;
  std::unordered_map<uint64_t, Queue> queues;  // by owner; one that is there has a thread

  void work(uint64_t owner) {
    std::unique_lock guard(lock);
    for (Queue& queue = queues.at(owner); !queue.empty();) {
      std::function<void()> call = std::move(queue.front());
      guard.unlock();
      call();
      call = nullptr;  // what it holds goes before it counts as ended
      guard.lock();
      queue.pop_front();
    }
    queues.erase(owner);
    ended.notify_all();
  }
};

SlowCalls::SlowCalls() : state_(std::make_shared<State>()) {}

bool SlowCalls::start(uint64_t owner, std::function<void()> call) {
  {
    const std::lock_guard guard(state_->lock);
    const auto [queue, is_new] = state_->queues.try_emplace(owner);
    queue->second.push_back(std::move(call));
    if (!is_new) return true;
  }
  if (call_slowly([state = state_, owner] { state->work(owner); })) return true;
  const std::lock_guard guard(state_->lock);
  const auto found = state_->queues.find(owner);
  // Not destroyed here: that would be one of the calls that may not be made here.
  new State::Queue(std::move(found->second));
  state_->queues.erase(found);
  return false;
}

size_t SlowCalls::under_way(uint64_t owner) const {
  const std::lock_guard guard(state_->lock);
  const auto found = state_->queues.find(owner);
  return found == state_->queues.end() ? 0 : found->second.size();
}

bool SlowCalls::wait(std::chrono::milliseconds limit) const {
  std::unique_lock guard(state_->lock);
  return state_->ended.wait_for(guard, limit, [this] { return state_->queues.empty(); });
}

}  // namespace uarena
