// Descriptors that were open when this process started: a listening socket from a service manager,
// devices from whoever may open them, and what a predecessor had put into the store. They come as
// numbers and names in the environment (sd_listen_fds(3)); here they are taken over once, marked
// close-on-exec, and given out by name.
//
// Names are claims. This is the one place that checks them: who asks for a listener or a device
// gets one or an error. Others (arena memory, state, connections) are checked by whoever takes them
// over, as their contents have to be, too.
//
// What nobody asks for is left over at the end, to be named in the log and closed.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/named_fd.h"
#include "ipc/base/result.h"

namespace uarena::broker {

class Inherited {
 public:
  // The names that we know, besides those of the store:
  static constexpr std::string_view kListener = "listener";              // whose file is not ours
  static constexpr std::string_view kUserfaultfd = "userfaultfd";        // an open /dev/userfaultfd
  static constexpr std::string_view kCpuDmaLatency = "cpu_dma_latency";  // kept open, no more

  Inherited() = default;
  explicit Inherited(std::vector<NamedFd> fds) : fds_(std::move(fds)) {}

  // All that was passed to this process, and takes the variables out of the environment, so that a
  // second call finds nothing. Before anything else opens descriptors or starts threads. EBADF,
  // EINVAL: the variables speak of descriptors that are not there, or make no sense.
  static Result<Inherited> from_environment();

  // The first of that name, unchecked.
  std::optional<Fd> take(std::string_view name);
  // All whose names are so, unchecked, in the order in which they were passed.
  std::vector<NamedFd> take_all(const std::function<bool(std::string_view name)>& wanted);
  // Those that begin like that.
  std::vector<NamedFd> take_prefixed(std::string_view prefix) {
    return take_all([prefix](std::string_view name) { return name.starts_with(prefix); });
  }
  // A Unix socket with records that accepts connections. EINVAL, ENOTSOCK: it is none.
  Result<std::optional<Fd>> take_listener();
  // The device of that name (kUserfaultfd, kCpuDmaLatency). ENODEV: it is none, or another one.
  Result<std::optional<Fd>> take_device(std::string_view name);

  // Names of those that nobody has taken.
  std::vector<std::string> names() const;
  // Those themselves; nothing is left then.
  std::vector<NamedFd> leftovers() { return std::exchange(fds_, {}); }

 private:
  std::vector<NamedFd> fds_;
};

}  // namespace uarena::broker
