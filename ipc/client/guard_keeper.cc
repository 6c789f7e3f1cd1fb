#include "ipc/client/guard_keeper.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

#include "ipc/abi.h"
#include "ipc/base/log.h"
#include "ipc/base/page.h"
#include "ipc/base/uapi.h"

namespace uarena::ipc {

Result<std::unique_ptr<GuardKeeper>> GuardKeeper::start(Fd socket, uint64_t address,
                                                        uint64_t length) {
  std::unique_ptr<GuardKeeper> keeper(new GuardKeeper(std::move(socket), address, length));
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = 0;
  try {
    keeper->thread_ = std::thread([self = keeper.get()] { self->work(); });
    ::pthread_setname_np(keeper->thread_.native_handle(), "uarena-guards");
  } catch (const std::system_error& failed) {
    error = failed.code().value();
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) return fail_errno(error, "cannot start the thread that keeps guards");
  return keeper;
}

GuardKeeper::~GuardKeeper() {
  if (!thread_.joinable()) return;
  ::shutdown(socket_.get(), SHUT_RDWR);
  thread_.join();
}

void GuardKeeper::forget() { socket_.reset(); }

void GuardKeeper::work() const {
  uarena_guard guard{};
  for (;;) {
    const ssize_t n = ::recv(socket_.get(), &guard, sizeof guard, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n != sizeof guard) return;
    guard.error = install(guard.addr, guard.length);
    if (::send(socket_.get(), &guard, sizeof guard, MSG_NOSIGNAL) != sizeof guard) return;
  }
}

// Whoever is on the other end, nothing beside the arena is guarded.
int GuardKeeper::install(uint64_t address, uint64_t length) const {
  if (length == 0) return 0;
  if (address - address_ >= length_ || length > length_ - (address - address_) ||
      !page_aligned(address) || !page_aligned(length))
    return EINVAL;
  return ::madvise(reinterpret_cast<void*>(address), length, kMadvGuardInstall) < 0 ? errno : 0;
}

}  // namespace uarena::ipc
