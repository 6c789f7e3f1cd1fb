#include "uffd/userfaultfd.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "ipc/base/page.h"
#include "uffd/device.h"
#include "uffd/features.h"
#include "uffd/uapi.h"

namespace uarena::uffd {
namespace {

static_assert(kFeatureSigbus == UFFD_FEATURE_SIGBUS);
static_assert(kFeatureThreadId == UFFD_FEATURE_THREAD_ID);
static_assert(kFeatureExactAddress == UFFD_FEATURE_EXACT_ADDRESS);

constexpr uint64_t kForClients = kFeatureThreadId | kFeatureExactAddress;

// What the descriptor is, by its name in /proc: an ioctl on another kind of file could do anything.
// No path can look like this: paths start with '/' or with "(unreachable)".
Result<void> check_is_userfaultfd(int fd) {
  if (fd < 0) return fail(EBADF, "the descriptor handed over is no userfaultfd: one is required");
  char name[64];
  const std::string link = fmt::format("/proc/self/fd/{}", fd);
  const ssize_t length = ::readlink(link.c_str(), name, sizeof name);
  if (length < 0) return fail_errno(errno, "cannot look at the descriptor handed over");
  if (std::string_view(name, static_cast<size_t>(length)) != "anon_inode:[userfaultfd]")
    return fail(EBADF, "the descriptor handed over is no userfaultfd: one is required");
  return {};
}

Result<void> check_range(uint64_t address, uint64_t length) {
  if (!page_aligned(address) || !page_aligned(length) || length == 0 || address + length < address)
    return fail(EINVAL, "range {:#x}+{:#x} is not made of whole pages", address, length);
  return {};
}

std::unexpected<Error> register_failed(int code, uint64_t address, uint64_t length) {
  const char* reason = "";
  switch (code) {
    case EINVAL:
      reason = "nothing is mapped there, or memory of a kind without missing faults";
      break;
    case EBUSY:
      reason = "the range is registered with another userfaultfd";
      break;
    case EPERM:
      reason = "the memory there can never be written";
      break;
    case ENOMEM:  // also what the kernel says for a process whose memory is gone
    case ESRCH:
      reason = "the process is gone or out of memory";
      break;
    default:
      reason = strerrordesc_np(code);
  }
  return fail(code, "cannot register {:#x}+{:#x} for page faults: {}", address, length, reason);
}

// The kernel stops a range operation at the first page that it can't do and tells how far it came
// with EAGAIN; asking again from there tells why. `once` does one ioctl and returns the kernel's
// count (bytes, or a negative errno) and the ioctl's errno.
template <typename Once>
RangeResult over_range(uint64_t address, uint64_t length, Once once) {
  RangeResult result;
  while (result.done < length) {
    int64_t count = 0;
    const int error = once(address + result.done, length - result.done, &count);
    if (error == 0) {
      result.done = length;
    } else if (error == EAGAIN && count > 0) {
      result.done += static_cast<uint64_t>(count);
    } else {
      result.error = error;
      break;
    }
  }
  return result;
}

}  // namespace

Result<Userfaultfd> Userfaultfd::create_own(uint64_t features) {
  Opened opened = open_userfaultfd();
  if (!opened.fd) return fail_errno(opened.error, "cannot make a userfaultfd");
  Userfaultfd made;
  made.fd_ = std::move(opened.fd);
  if (!uffd::features().has(features))
    return fail(ENOTSUP, "this kernel's userfaultfd lacks feature bits {:#x}",
                features & ~uffd::features().bits);
  if (auto done = made.api(features); !done) return std::unexpected(done.error());
  return made;
}

Result<Userfaultfd> Userfaultfd::take_over_untrusted(Fd fd, uint64_t address, uint64_t length) {
  if (auto good = check_range(address, length); !good) return std::unexpected(good.error());
  if (auto good = check_is_userfaultfd(fd.get()); !good) return std::unexpected(good.error());
  Userfaultfd taken;
  taken.fd_ = std::move(fd);
  taken.features_ = kForClients & uffd::features().bits;
  taken.address_ = address;
  taken.length_ = length;
  return taken;
}

Result<Userfaultfd> Userfaultfd::adopt_untrusted(Fd fd, uint64_t address, uint64_t length,
                                                 bool resumed) {
  if (auto good = check_range(address, length); !good) return std::unexpected(good.error());
  if (auto good = check_is_userfaultfd(fd.get()); !good) return std::unexpected(good.error());
  if (!uffd::features().enough_for_clients())
    return fail(ENOTSUP, "this kernel's userfaultfd can't serve clients ({})",
                uffd::features().summary());
  Userfaultfd adopted;
  adopted.fd_ = std::move(fd);
  if (auto done = adopted.api(kForClients & uffd::features().bits);
      !done && !(resumed && done.error().code == EINVAL))
    return std::unexpected(done.error());
  adopted.features_ = kForClients & uffd::features().bits;
  if (auto done = adopted.register_missing(address, length); !done)
    return std::unexpected(done.error());
  return adopted;
}

Userfaultfd Userfaultfd::dup() const {
  Userfaultfd second;
  second.fd_ = fd_.dup();
  second.features_ = features_;
  second.address_ = address_;
  second.length_ = length_;
  return second;
}

Result<void> Userfaultfd::api(uint64_t features) {
  struct uffdio_api request{};
  request.api = UFFD_API;
  request.features = features;
  if (::ioctl(fd_.get(), UFFDIO_API, &request) != 0) {
    if (errno == EINVAL)
      return fail(EINVAL,
                  "the userfaultfd has been set up already: no ioctl may have been made on "
                  "it");
    return fail_errno(errno, "cannot set up the userfaultfd");
  }
  features_ = features;
  return {};
}

Result<void> Userfaultfd::register_missing(uint64_t address, uint64_t length) {
  struct uffdio_register request{};
  request.range = {address, length};
  request.mode = UFFDIO_REGISTER_MODE_MISSING;
  if (::ioctl(fd_.get(), UFFDIO_REGISTER, &request) != 0)
    return register_failed(errno, address, length);
  address_ = address;
  length_ = length;
  return {};
}

Result<void> Userfaultfd::unregister(uint64_t address, uint64_t length) {
  struct uffdio_range range{address, length};
  if (::ioctl(fd_.get(), UFFDIO_UNREGISTER, &range) != 0)
    return fail_errno(errno, "cannot unregister {:#x}+{:#x}", address, length);
  return {};
}

RangeResult Userfaultfd::zeropage(uint64_t address, uint64_t length) {
  return over_range(address, length, [this](uint64_t at, uint64_t bytes, int64_t* count) {
    struct uffdio_zeropage request{};
    request.range = {at, bytes};
    const int error = ::ioctl(fd_.get(), UFFDIO_ZEROPAGE, &request) == 0 ? 0 : errno;
    *count = request.zeropage;
    return error;
  });
}

int Userfaultfd::wake(uint64_t address, uint64_t length) {
  struct uffdio_range range{address, length};
  return ::ioctl(fd_.get(), UFFDIO_WAKE, &range) == 0 ? 0 : errno;
}

RangeResult Userfaultfd::poison(uint64_t address, uint64_t length) {
  return over_range(address, length, [this](uint64_t at, uint64_t bytes, int64_t* count) {
    UffdioPoison request{};
    request.range = {at, bytes};
    const int error = ::ioctl(fd_.get(), kUffdioPoison, &request) == 0 ? 0 : errno;
    *count = request.updated;
    return error;
  });
}

RangeResult Userfaultfd::map_present(uint64_t address, uint64_t length) {
  return over_range(address, length, [this](uint64_t at, uint64_t bytes, int64_t* count) {
    struct uffdio_continue request{};
    request.range = {at, bytes};
    const int error = ::ioctl(fd_.get(), UFFDIO_CONTINUE, &request) == 0 ? 0 : errno;
    *count = request.mapped;
    return error;
  });
}

}  // namespace uarena::uffd
