#include "tools/start/manager.h"

#include <systemd/sd-daemon.h>

#include <cstdlib>
#include <string>

namespace uarena::start {
namespace {

constexpr uint64_t kBarrierMicroseconds = 10'000'000;

Result<void> tell(const std::string& message, const int* fd, unsigned fds) {
  const int sent = ::sd_pid_notify_with_fds(0, /*unset_environment=*/0, message.c_str(), fd, fds);
  if (sent > 0) return {};
  return fail_errno(sent == 0 ? ENOTCONN : -sent, "the service manager can't be told");
}

}  // namespace

Result<Manager> Manager::connect() {
  const char* socket = std::getenv("NOTIFY_SOCKET");
  if (socket == nullptr || *socket == '\0')
    return fail(ENOTCONN,
                "NOTIFY_SOCKET is not set: this is for ExecStartPre= of a unit with Type=notify");
  return Manager();
}

Result<void> Manager::keep(std::string_view name, int fd) {
  if (auto forgotten = forget(name); !forgotten) return forgotten;
  // Polled, a descriptor that shows an error is dropped: a userfaultfd and a FUSE device may.
  return tell(fmt::format("FDSTORE=1\nFDNAME={}\nFDPOLL=0", name), &fd, 1);
}

Result<void> Manager::forget(std::string_view name) {
  return tell(fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name), nullptr, 0);
}

Result<void> Manager::barrier() {
  const int done = ::sd_notify_barrier(0, kBarrierMicroseconds);
  if (done > 0) return {};
  return fail_errno(done == 0 ? ENOTCONN : -done, "the service manager did not answer");
}

}  // namespace uarena::start
