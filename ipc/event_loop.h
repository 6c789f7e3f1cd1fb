// The control thread's loop: readiness of descriptors, timers, signals, and work that other threads
// hand over. It hides Boost.Asio completely, so that nobody who uses it pays for its headers; what
// listener and connection need of it is `watch`, nothing more.
//
// Threads: run() belongs to one thread, which runs every callback. Everything else is to be called
// on that thread too (or before run), except post() and stop(), which any thread may call.
// A callback may destroy the Watch or Timer that called it. Callbacks do not throw.
#pragma once

#include <chrono>
#include <functional>
#include <initializer_list>
#include <memory>
#include <utility>

#include "ipc/base/result.h"

namespace uarena::ipc {

class EventLoop {
 public:
  using Clock = std::chrono::steady_clock;
  using Callback = std::function<void()>;

  // Once it is destroyed or reset, its callback is not called any more.
  class Handle {
   public:
    Handle() = default;
    Handle(Handle&& other) noexcept : state_(std::move(other.state_)) {}
    Handle& operator=(Handle&& other) noexcept {
      const auto taken = std::move(other.state_);
      reset();
      state_ = taken;
      return *this;
    }
    ~Handle() { reset(); }
    void reset();
    explicit operator bool() const { return state_ != nullptr; }

   private:
    friend class EventLoop;
    struct State;
    explicit Handle(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };
  using Timer = Handle;
  using Watch = Handle;
  enum class Readiness { read, write };

  EventLoop();
  // Callbacks that are still due are dropped. Handles must have gone before.
  ~EventLoop();

  // Returns after stop(); what is due then is kept for the next run().
  void run();
  void stop();
  void post(Callback callback);

  // Calls back once.
  [[nodiscard]] Timer call_at(Clock::time_point when, Callback callback);
  [[nodiscard]] Timer call_after(Clock::duration delay, Callback callback);

  // Calls back each time that `fd` has become ready (or has hung up), and again after the callback
  // as long as it stays so; what else is due gets its turn in between. The descriptor stays the
  // caller's and is closed only after the watch is gone. Two watches of one descriptor: a dup for
  // the second. Errors as epoll_ctl(2): out of memory or watches, or a descriptor that can't be
  // waited for.
  [[nodiscard]] Result<Watch> watch(int fd, Readiness readiness, Callback callback);

  // For the whole process; callable once. The callback gets the signal's number.
  void on_signals(std::initializer_list<int> signals, std::function<void(int)> callback);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace uarena::ipc
