#include "tools/start/devices.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "ipc/base/fd.h"
#include "ipc/base/log.h"

namespace uarena::start {
namespace {

constexpr std::string_view kUserfaultfd = "userfaultfd";
constexpr std::string_view kCpuDmaLatency = "cpu_dma_latency";

Result<Fd> open_device(std::string_view name) {
  const std::string path = fmt::format("/dev/{}", name);
  Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "cannot open {}", path);
  return fd;
}

// The kernel takes the bound as four bytes, and drops it when the file is closed.
Result<Fd> open_latency(int32_t microseconds) {
  auto fd = open_device(kCpuDmaLatency);
  if (fd && ::write(fd->get(), &microseconds, sizeof microseconds) != sizeof microseconds)
    return fail_errno(errno, "cannot ask /dev/{} for {} us", kCpuDmaLatency, microseconds);
  return fd;
}

// Keeps what was opened. What was not is forgotten, too: a descriptor of an earlier start must not
// stay when the device may no longer be opened.
Result<void> keep_or_warn(Manager& manager, std::string_view name, const Result<Fd>& opened) {
  if (opened) {
    log(LogLevel::info, "start.device", {{"name", name}});
    return manager.keep(name, opened->get());
  }
  log(LogLevel::warning, "start.without_device",
      {{"name", name}, {"errno", opened.error().code}, {"error", opened.error().message}});
  return manager.forget(name);
}

}  // namespace

Result<void> keep_devices(Manager& manager, std::optional<int32_t> latency_us) {
  if (auto done = keep_or_warn(manager, kUserfaultfd, open_device(kUserfaultfd)); !done)
    return done;
  auto done = latency_us ? keep_or_warn(manager, kCpuDmaLatency, open_latency(*latency_us))
                         : manager.forget(kCpuDmaLatency);
  if (!done) return done;
  return manager.barrier();
}

}  // namespace uarena::start
