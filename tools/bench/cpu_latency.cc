#include "tools/bench/cpu_latency.h"

#include <fcntl.h>
#include <unistd.h>

namespace uarena::bench {

Result<CpuLatency> CpuLatency::hold() {
  constexpr const char* kDevice = "/dev/cpu_dma_latency";
  Fd device(::open(kDevice, O_WRONLY | O_CLOEXEC));
  const int32_t microseconds = 0;
  if (!device || ::write(device.get(), &microseconds, sizeof microseconds) != sizeof microseconds)
    return fail_errno(errno, "cannot keep CPUs awake through {}", kDevice);
  return CpuLatency(std::move(device));
}

}  // namespace uarena::bench
