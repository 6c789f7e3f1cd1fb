#include "uffd/features.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ipc/base/fd.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "uffd/device.h"
#include "uffd/guards.h"
#include "uffd/uapi.h"

namespace uarena::uffd {
namespace {

// Asking for no feature always succeeds and returns all that exist.
bool ask_api(int fd, Features& found) {
  struct uffdio_api api{};
  api.api = UFFD_API;
  if (::ioctl(fd, UFFDIO_API, &api) != 0) {
    found.access_errno = errno;
    found.access = Access::none;
    return false;
  }
  found.bits = api.features;
  return true;
}

bool try_nowait_read(int fd) {
  struct uffd_msg message;
  iovec io{&message, sizeof message};
  return ::preadv2(fd, &io, 1, -1, RWF_NOWAIT) < 0 && errno == EAGAIN;
}

bool try_zeropage(int fd, uint64_t page) {
  struct uffdio_zeropage request{};
  request.range = {page, kPageSize};
  return ::ioctl(fd, UFFDIO_ZEROPAGE, &request) == 0 &&
         request.zeropage == static_cast<int64_t>(kPageSize);
}

bool try_wake(int fd, uint64_t page) {
  struct uffdio_range range{page, kPageSize};
  return ::ioctl(fd, UFFDIO_WAKE, &range) == 0;
}

bool try_poison(int fd, uint64_t page) {
  UffdioPoison request{};
  request.range = {page, kPageSize};
  return ::ioctl(fd, kUffdioPoison, &request) == 0 &&
         request.updated == static_cast<int64_t>(kPageSize);
}

// The page must be in the file and not yet in our page table.
bool try_continue(int fd, int memory, uint64_t page, uint64_t offset) {
  const char byte = 1;
  if (::pwrite(memory, &byte, 1, static_cast<off_t>(offset)) != 1) return false;
  struct uffdio_continue request{};
  request.range = {page, kPageSize};
  return ::ioctl(fd, UFFDIO_CONTINUE, &request) == 0 &&
         request.mapped == static_cast<int64_t>(kPageSize);
}

void try_ioctls(int fd, Features& found) {
  constexpr uint64_t kBytes = 4 * kPageSize;
  Fd memory(::memfd_create("uarena-probe", MFD_CLOEXEC));
  if (!memory || ::ftruncate(memory.get(), kBytes) != 0) return;
  auto map = MemoryMap::create(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0,
                               "the probe's pages");
  if (!map) return;
  const uint64_t base = map->address();
  struct uffdio_register request{};
  request.range = {base, kBytes};
  request.mode = UFFDIO_REGISTER_MODE_MISSING;
  found.missing = ::ioctl(fd, UFFDIO_REGISTER, &request) == 0;
  if (!found.missing) return;
  found.zeropage = try_zeropage(fd, base);
  found.wake = try_wake(fd, base);
  found.poison = try_poison(fd, base + kPageSize);
  found.resume = try_continue(fd, memory.get(), base + 2 * kPageSize, 2 * kPageSize);
  found.guards = guards_work(fd);
}

}  // namespace

bool Features::enough_for_clients() const { return missing && wake && nowait_read; }

std::string Features::summary() const {
  if (access == Access::none)
    return std::string("none: userfaultfd(2) failed: ") + strerrordesc_np(access_errno);
  const struct {
    bool there;
    const char* name;
  } parts[] = {
      {missing, "missing faults"},
      {has(UFFD_FEATURE_SIGBUS), "sigbus"},
      {has(UFFD_FEATURE_THREAD_ID), "thread ids"},
      {has(UFFD_FEATURE_EXACT_ADDRESS), "exact addresses"},
      {zeropage, "zeropage"},
      {wake, "wake"},
      {poison, "poison"},
      {resume, "continue on missing"},
      {guards, "guards"},
      {nowait_read, "reads that never block"},
      {device, "/dev/userfaultfd"},
  };
  std::string line = access == Access::full ? "full" : "user mode only";
  if (by_device) line += " by the inherited device";
  std::string absent;
  for (const auto& part : parts) {
    std::string& list = part.there ? line : absent;
    if (!list.empty()) list += ", ";
    list += part.name;
  }
  if (!absent.empty()) line += "; without " + absent;
  return line;
}

Features probe() {
  Features found;
  found.device = inherited_device() || Fd(::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
  const Opened opened = open_userfaultfd();
  found.access = opened.access;
  found.access_errno = opened.error;
  found.by_device = opened.by_device;
  const int fd = opened.fd.get();
  if (!opened.fd || !ask_api(fd, found)) return found;
  found.nowait_read = try_nowait_read(fd);
  try_ioctls(fd, found);
  return found;
}

const Features& features() {
  static const Features found = probe();
  return found;
}

}  // namespace uarena::uffd
