#include "ipc/client/process_id.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

#include "ipc/base/page.h"

namespace uarena::ipc {
namespace {

using Kept = std::atomic<pid_t>;
static_assert(Kept::is_always_lock_free && sizeof(Kept) == sizeof(pid_t));  // zeros are a value

// Lives as long as the process. None: no memory, or a kernel that can't do it.
Kept* wiped_on_fork() {
  void* const page =
      ::mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return nullptr;
  if (::madvise(page, kPageSize, MADV_WIPEONFORK) == 0) return static_cast<Kept*>(page);
  ::munmap(page, kPageSize);
  return nullptr;
}

}  // namespace

pid_t process_id() {
  static Kept* const kept = wiped_on_fork();
  if (kept == nullptr) return ::getpid();
  if (const pid_t known = kept->load(std::memory_order_relaxed); known != 0) return known;
  const pid_t own = ::getpid();
  kept->store(own, std::memory_order_relaxed);
  return own;
}

}  // namespace uarena::ipc
