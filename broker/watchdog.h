// Tells the service manager that the broker is alive, as long as it is: a sign of life goes out
// only after a page fault of our own was answered by every fault thread, and the control thread has
// found time for it. One round, three times per interval that the manager allows:
//
//     timer on the control thread -> prober thread touches a probe's page on each fault thread in
//     turn -> each answers -> posted to the control thread -> WATCHDOG=1, and the next timer
//
// If any of them hangs, the round does not end, and the manager does what it is set to do. Runner
// threads are not part of it: a program may take its time.
//
// Threads: made and destroyed by the control thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "ipc/event_loop.h"
#include "uffd/fault_loop.h"
#include "uffd/fault_probe.h"

namespace uarena::broker {

class Watchdog {
 public:
  using Duration = ipc::EventLoop::Clock::duration;

  // How long the manager waits for a sign of life; none: there is nobody who would.
  static std::optional<Duration> wanted_interval();

  // `alive` is called on the loop at the end of each round; the first round starts with the loop.
  static Result<std::unique_ptr<Watchdog>> create(ipc::EventLoop& loop, uffd::FaultLoop& faults,
                                                  Duration interval, std::function<void()> alive);
  // Also while a fault thread hangs.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;

 private:
  Watchdog(ipc::EventLoop& loop, Duration interval, std::function<void()> alive)
      : loop_(loop), pause_(interval / 3), alive_(std::move(alive)) {}
  void start_round();
  void end_round();
  void probe();

  ipc::EventLoop& loop_;
  const Duration pause_;
  const std::function<void()> alive_;
  ipc::EventLoop::Timer timer_;
  std::vector<std::unique_ptr<uffd::FaultProbe>> probes_;
  // What is posted to the loop may come when this is gone.
  const std::shared_ptr<Watchdog*> self_ = std::make_shared<Watchdog*>(this);

  std::mutex mutex_;
  std::condition_variable changed_;
  bool asked_ = false;
  bool ending_ = false;
  std::thread prober_;
};

}  // namespace uarena::broker
