// How much CPU time somebody's programs have taken lately. A limit on a rate needs a time over
// which it is meant: ten seconds here, which is also the longest that one run may take, so that a
// program which runs for long and then rests is treated as one that runs a little all the time.
//
// Threads: any.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>

namespace uarena::broker {

class CpuMeter {
 public:
  static constexpr uint64_t kWindowSeconds = 10;
  static constexpr uint64_t kNsPerSecond = 1'000'000'000;

  // `now_ns` of CLOCK_MONOTONIC, when the time was over.
  void add(uint64_t cpu_ns, uint64_t now_ns) {
    const std::lock_guard guard(lock_);
    Slot& slot = slots_[now_ns / kNsPerSecond % kWindowSeconds];
    if (slot.second != now_ns / kNsPerSecond) slot = {now_ns / kNsPerSecond, 0};
    slot.cpu_ns += cpu_ns;
  }

  // In the window before now, per second of it.
  uint64_t ns_per_second(uint64_t now_ns) const {
    const std::lock_guard guard(lock_);
    uint64_t sum = 0;
    for (const Slot& slot : slots_)
      if (slot.second + kWindowSeconds > now_ns / kNsPerSecond) sum += slot.cpu_ns;
    return sum / kWindowSeconds;
  }

 private:
  struct Slot {
    uint64_t second = 0;
    uint64_t cpu_ns = 0;
  };
  mutable std::mutex lock_;
  std::array<Slot, kWindowSeconds> slots_{};
};

}  // namespace uarena::broker
