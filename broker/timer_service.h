// Timers of programs: their callbacks run one after the other on a thread of their own, each a run
// like any other (program.h). Per clock there is a timerfd that is set for the earliest timer, so
// that a change of the time of day counts as it does in the kernel.
//
// What a timer is stands in the map's value: its clock, its map, and whose callback it has. Here
// are only those that are armed, each with a weak reference to its program, so that nothing has to
// be cleared away when a program or an object goes: such a timer does not fire.
//
// A successor finds all timers as they were before bpf_timer_init: a callback that went on as if
// nothing had happened would work on what a run that was cut off has left half done. Whoever looks
// after the program arms them again.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "broker/program.h"
#include "ipc/base/fd.h"
#include "ipc/base/result.h"
#include "jit/timers.h"

namespace uarena::broker {

class TimerService final : public jit::Timers {
 public:
  TimerService() = default;
  ~TimerService() override { stop(std::chrono::milliseconds::max()); }

  Result<void> start_thread();
  // No callback is begun any more, and loops of the one that runs end soon. False: the limit has
  // passed, and it hangs on.
  bool stop(std::chrono::milliseconds limit);
  size_t armed() const;

  int init(std::byte* timer, const jit::BoundMap& map, uint64_t flags,
           jit::RunContext& run) override;
  int set_callback(std::byte* timer, uint32_t callback, jit::RunContext& run) override;
  int start(std::byte* timer, uint64_t ns, uint64_t flags, jit::RunContext& run) override;
  int cancel(std::byte* timer, jit::RunContext& run) override;
  void forget(std::byte* timer) override;

 private:
  static constexpr size_t kClocks = 3;

  struct Armed {
    uint8_t clock = 0;  // of kClocks
    uint32_t callback = 0;
    int64_t due_ns = 0;  // on its clock
    int cpu = -1;        // where the callback runs; -1: anywhere
    std::weak_ptr<const Program> program;
    const jit::BoundMap* map = nullptr;
  };
  struct Queue {
    Fd timer;
    std::set<std::pair<int64_t, std::byte*>> order;
  };

  bool disarm(std::byte* timer);
  void set_clock(Queue& queue);
  void work();
  bool wait_for_timers();
  std::optional<std::pair<std::byte*, Armed>> take_due();
  void fire(std::byte* timer, const Armed& armed);
  void postpone(std::byte* timer, Armed armed);

  mutable std::mutex lock_;
  std::condition_variable idle_;  // no callback runs, or the thread has ended
  std::array<Queue, kClocks> queues_;
  std::map<std::byte*, Armed> armed_;
  std::byte* running_ = nullptr;  // whose callback runs
  std::atomic<bool> stopping_{false};
  bool ended_ = true;
  Fd stop_;
  std::thread thread_;
};

}  // namespace uarena::broker
