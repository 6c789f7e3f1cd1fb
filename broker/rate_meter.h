// How much of something somebody has had lately: CPU time of programs, connections. A limit on a
// rate needs a time over which it is meant: ten seconds here, which is also the longest that one
// run may take, so that a program which runs for long and then rests is treated as one that runs a
// little all the time, and a command that connects a few times in a row is no flood.
//
// Threads: any.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>

namespace uarena::broker {

class RateMeter {
 public:
  static constexpr uint64_t kWindowSeconds = 10;
  static constexpr uint64_t kNsPerSecond = 1'000'000'000;

  // `now_ns` of CLOCK_MONOTONIC.
  void add(uint64_t amount, uint64_t now_ns) {
    const std::lock_guard guard(lock_);
    Slot& slot = slots_[now_ns / kNsPerSecond % kWindowSeconds];
    if (slot.second != now_ns / kNsPerSecond) slot = {now_ns / kNsPerSecond, 0};
    slot.amount += amount;
  }

  // In the window before now, per second of it.
  uint64_t per_second(uint64_t now_ns) const {
    const std::lock_guard guard(lock_);
    uint64_t sum = 0;
    for (const Slot& slot : slots_)
      if (slot.second + kWindowSeconds > now_ns / kNsPerSecond) sum += slot.amount;
    return sum / kWindowSeconds;
  }

 private:
  struct Slot {
    uint64_t second = 0;
    uint64_t amount = 0;
  };
  mutable std::mutex lock_;
  std::array<Slot, kWindowSeconds> slots_{};
};

}  // namespace uarena::broker
