#include "uffd/device.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "uffd/uapi.h"

namespace uarena::uffd {
namespace {

Fd& device() {
  static Fd held;
  return held;
}

Fd by_syscall(int flags) {
  return Fd(static_cast<int>(::syscall(SYS_userfaultfd, flags | O_CLOEXEC | O_NONBLOCK)));
}

}  // namespace

void use_device(Fd inherited) { device() = std::move(inherited); }
const Fd& inherited_device() { return device(); }

Opened open_userfaultfd() {
  Opened opened{by_syscall(0), Access::full};
  if (!opened.fd && device()) {
    opened.fd.reset(::ioctl(device().get(), USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK));
    opened.by_device = static_cast<bool>(opened.fd);
  }
  if (opened.fd) return opened;
  opened = {by_syscall(UFFD_USER_MODE_ONLY), Access::user_mode_only};
  if (!opened.fd) opened = {.error = errno};
  return opened;
}

}  // namespace uarena::uffd
