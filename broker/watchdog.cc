#include "broker/watchdog.h"

#include <pthread.h>
#include <signal.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <system_error>

namespace uarena::broker {

std::optional<Watchdog::Duration> Watchdog::wanted_interval() {
  uint64_t microseconds = 0;
  if (::sd_watchdog_enabled(/*unset_environment=*/0, &microseconds) <= 0) return std::nullopt;
  // Anything longer is no watchdog, and would not fit.
  constexpr uint64_t kMost = uint64_t{86400} * 365 * 1'000'000;
  return std::chrono::microseconds(std::min(microseconds, kMost));
}

Result<std::unique_ptr<Watchdog>> Watchdog::create(ipc::EventLoop& loop, uffd::FaultLoop& faults,
                                                   Duration interval, std::function<void()> alive) {
  std::unique_ptr<Watchdog> watchdog(new Watchdog(loop, interval, std::move(alive)));
  for (size_t thread = 0; thread < faults.threads(); ++thread) {
    auto probe = uffd::FaultProbe::create(faults, thread);
    if (!probe) return std::unexpected(probe.error());
    watchdog->probes_.push_back(std::move(*probe));
  }
  // Signals for the process go to the threads that expect them.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  Result<void> started;
  try {
    watchdog->prober_ = std::thread([self = watchdog.get()] { self->probe(); });
    ::pthread_setname_np(watchdog->prober_.native_handle(), "watchdog");
  } catch (const std::system_error& error) {
    started = fail_errno(error.code().value(), "cannot start the watchdog's thread");
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!started) return std::unexpected(started.error());
  watchdog->timer_ = loop.call_after({}, [self = watchdog.get()] { self->start_round(); });
  return watchdog;
}

Watchdog::~Watchdog() {
  *self_ = nullptr;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  for (const auto& probe : probes_) probe->give_up();
  if (prober_.joinable()) prober_.join();
}

void Watchdog::start_round() {
  const std::lock_guard lock(mutex_);
  asked_ = true;
  changed_.notify_all();
}

void Watchdog::probe() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return asked_ || ending_; });
    if (ending_) return;
    asked_ = false;
    lock.unlock();
    for (const auto& probe : probes_) probe->touch();
    loop_.post([weak = std::weak_ptr(self_)] {
      if (const auto self = weak.lock(); self && *self != nullptr) (*self)->end_round();
    });
    lock.lock();
  }
}

void Watchdog::end_round() {
  alive_();
  timer_ = loop_.call_after(pause_, [this] { start_round(); });
}

}  // namespace uarena::broker
