// The kernel's clocks as they cross process boundaries, and as programs see them: nanoseconds in
// one number.
#pragma once

#include <time.h>

#include <cstdint>

namespace uarena {

inline uint64_t clock_ns(clockid_t clock) noexcept {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// The time of day as the wire format has it: since 1970.
inline uint64_t realtime_ns() noexcept { return clock_ns(CLOCK_REALTIME); }

}  // namespace uarena
