// Keeps idle CPUs from sleeping deeply while it lives, through /dev/cpu_dma_latency: on many
// machines waking a sleeping CPU takes longer than all that is measured, on both sides.
#pragma once

#include "ipc/base/fd.h"
#include "ipc/base/result.h"

namespace uarena::bench {

class CpuLatency {
 public:
  // EACCES, ENOENT: this process may not, or there is no such device.
  static Result<CpuLatency> hold();

 private:
  explicit CpuLatency(Fd device) : device_(std::move(device)) {}
  Fd device_;  // the wish holds as long as it is open
};

}  // namespace uarena::bench
