// Devices that the broker may use but, sandboxed, can't open: /dev/userfaultfd, and on request
// /dev/cpu_dma_latency. They are opened here and kept by the service manager under their names.
#pragma once

#include <cstdint>
#include <optional>

#include "tools/start/manager.h"

namespace uarena::start {

// What can't be opened is a warning in the log: the broker does without. `latency_us` asks that the
// CPUs keep out of sleep states from which they need longer to wake; it holds as long as the
// manager keeps the descriptor. Without it an earlier request ends.
Result<void> keep_devices(Manager& manager, std::optional<int32_t> latency_us);

}  // namespace uarena::start
