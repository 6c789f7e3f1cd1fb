#include "uffd/guards.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "ipc/base/fd.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "uffd/uapi.h"

namespace uarena::uffd {
namespace {

constexpr uint64_t kBytes = 4 * kPageSize;
constexpr uint64_t kTried = 1;  // the page that gets over its guard

bool register_missing(int fd, uint64_t base) {
  struct uffdio_register request{};
  request.range = {base, kBytes};
  request.mode = UFFDIO_REGISTER_MODE_MISSING;
  return ::ioctl(fd, UFFDIO_REGISTER, &request) == 0;
}

bool put_over_guard(int fd, uint64_t page) {
  struct uffdio_continue request{};
  request.range = {page, kPageSize};
  return ::ioctl(fd, UFFDIO_CONTINUE, &request) == 0 &&
         request.mapped == static_cast<int64_t>(kPageSize);
}

// Poison goes where nothing is; a touch that finds no guard would wait for somebody to answer it.
bool is_guarded(int fd, uint64_t page) {
  UffdioPoison request{};
  request.range = {page, kPageSize};
  return ::ioctl(fd, kUffdioPoison, &request) != 0 && errno == EEXIST;
}

// A system call can read a byte there. (Not to be asked of a page without page and guard.)
bool readable(int memory, const std::byte* at) { return ::pwrite(memory, at, 1, 0) == 1; }

}  // namespace

bool guards_work(int fd) {
  const Fd memory(::memfd_create("uarena-probe", MFD_CLOEXEC));
  if (!memory || ::ftruncate(memory.get(), kBytes) != 0) return false;
  auto map = MemoryMap::create(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0,
                               "the probe's pages");
  if (!map || ::madvise(map->data(), kBytes, kMadvGuardInstall) != 0) return false;
  if (!register_missing(fd, map->address())) return false;
  const std::byte* page = map->data() + kTried * kPageSize;
  const uint64_t address = map->address() + kTried * kPageSize;
  if (::pwrite(memory.get(), "x", 1, kTried * kPageSize) != 1) return false;
  if (!is_guarded(fd, address) || !put_over_guard(fd, address)) return false;
  if (!readable(memory.get(), page)) return false;
  if (!is_guarded(fd, address - kPageSize) || !is_guarded(fd, address + kPageSize)) return false;
  return ::madvise(map->data() + kTried * kPageSize, kPageSize, kMadvGuardInstall) == 0 &&
         !readable(memory.get(), page);
}

}  // namespace uarena::uffd
