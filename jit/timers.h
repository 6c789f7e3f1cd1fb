// What bpf_timer functions need of whoever runs callbacks later. A timer is a field of a map's
// value, 16 bytes that only these functions touch; what stands in them, and when a callback runs,
// is the business of the one who implements this (broker/timer_service.h).
//
// Thread-safe. Results are those of the functions of the same name.
#pragma once

#include <cstddef>
#include <cstdint>

namespace uarena::jit {

struct BoundMap;
struct RunContext;

inline constexpr size_t kTimerBytes = 16;

class Timers {
 public:
  virtual ~Timers() = default;

  virtual int init(std::byte* timer, const BoundMap& map, uint64_t flags, RunContext& run) = 0;
  // `callback`: a subprogram of the program that runs.
  virtual int set_callback(std::byte* timer, uint32_t callback, RunContext& run) = 0;
  virtual int start(std::byte* timer, uint64_t ns, uint64_t flags, RunContext& run) = 0;
  // 1: it was armed. Waits while its callback runs elsewhere.
  virtual int cancel(std::byte* timer, RunContext& run) = 0;

  // The element that it is in has been deleted or replaced.
  virtual void forget(std::byte* timer) = 0;
};

}  // namespace uarena::jit
