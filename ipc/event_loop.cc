// EventLoop on Boost.Asio's io_context (epoll). Callbacks capture the shared state of their handle;
// reset() marks it dead, so an event that Asio has already queued finds nobody to call.
#include "ipc/event_loop.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>

namespace uarena::ipc {

namespace asio = boost::asio;

struct EventLoop::Handle::State {
  Callback callback;  // empty: reset
  std::optional<asio::steady_timer> timer;
  std::optional<asio::posix::stream_descriptor> descriptor;
  asio::posix::stream_descriptor::wait_type wait_for = asio::posix::stream_descriptor::wait_read;

  // Waits once more, and again after each call.
  static void wait(const std::shared_ptr<State>& state) {
    state->descriptor->async_wait(state->wait_for, [state](const boost::system::error_code& error) {
      if (error || !state->callback) return;
      // A copy: the callback may reset its own handle, and must live until it returns.
      const Callback callback = state->callback;
      callback();
      if (state->callback) wait(state);
    });
  }
};

void EventLoop::Handle::reset() {
  if (state_ == nullptr) return;
  const std::shared_ptr<State> state = std::move(state_);
  const Callback callback = std::exchange(state->callback, nullptr);
  if (state->timer) state->timer->cancel();
  if (state->descriptor) state->descriptor->release();  // the descriptor is not ours to close
}

struct EventLoop::Impl {
  asio::io_context context{1};  // one thread runs it
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  std::optional<asio::signal_set> signals;
  std::function<void(int)> on_signal;

  void wait_for_signal() {
    signals->async_wait([this](const boost::system::error_code& error, int number) {
      if (error) return;
      on_signal(number);
      wait_for_signal();
    });
  }
};

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}
EventLoop::~EventLoop() = default;

void EventLoop::run() {
  impl_->context.run();
  impl_->context.restart();
}
void EventLoop::stop() { impl_->context.stop(); }
void EventLoop::post(Callback callback) { asio::post(impl_->context, std::move(callback)); }

EventLoop::Timer EventLoop::call_at(Clock::time_point when, Callback callback) {
  auto state = std::make_shared<Handle::State>();
  state->callback = std::move(callback);
  state->timer.emplace(impl_->context, when);
  state->timer->async_wait([state](const boost::system::error_code& error) {
    if (error || !state->callback) return;
    const Callback once = std::exchange(state->callback, nullptr);
    once();
  });
  return Timer(std::move(state));
}

EventLoop::Timer EventLoop::call_after(Clock::duration delay, Callback callback) {
  return call_at(Clock::now() + delay, std::move(callback));
}

Result<EventLoop::Watch> EventLoop::watch(int fd, Readiness readiness, Callback callback) {
  auto state = std::make_shared<Handle::State>();
  state->callback = std::move(callback);
  state->wait_for = readiness == Readiness::read ? asio::posix::stream_descriptor::wait_read
                                                 : asio::posix::stream_descriptor::wait_write;
  boost::system::error_code error;
  state->descriptor.emplace(impl_->context);
  state->descriptor->assign(fd, error);
  if (error) return fail_errno(error.value(), "descriptor {} can't be watched", fd);
  Handle::State::wait(state);
  return Watch(std::move(state));
}

void EventLoop::on_signals(std::initializer_list<int> signals, std::function<void(int)> callback) {
  UARENA_ASSERT(!impl_->signals, "signals are handled once");
  impl_->on_signal = std::move(callback);
  impl_->signals.emplace(impl_->context);
  for (const int number : signals) impl_->signals->add(number);
  impl_->wait_for_signal();
}

}  // namespace uarena::ipc
