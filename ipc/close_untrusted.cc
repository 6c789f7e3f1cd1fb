// A thread for each set of descriptors that may take its time. They are rare: no client that means
// well sends such a descriptor where it is not wanted.
#include "ipc/close_untrusted.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string_view>
#include <system_error>
#include <thread>

#include "ipc/base/log.h"
#include "ipc/scm_rights.h"

namespace uarena::ipc {
namespace {

// More than fit into the queue of a Unix socket (net.unix.max_dgram_qlen, 10 by default).
constexpr int kMostLeft = 600;

// Names of this form can't be forged: paths start with '/' or with "(unreachable)".
bool is_anonymous(int fd) {
  char name[32];
  const ssize_t length = ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), name, sizeof name);
  const std::string_view link(name, length > 0 ? static_cast<size_t>(length) : 0);
  return link == "anon_inode:[userfaultfd]" || link == "anon_inode:[eventfd]";
}

}  // namespace

bool closes_at_once(int fd) { return ::fcntl(fd, F_GET_SEALS) >= 0 || is_anonymous(fd); }

void close_untrusted(std::vector<Fd> fds) {
  std::erase_if(fds, [](const Fd& fd) { return !fd || closes_at_once(fd.get()); });
  if (fds.empty()) return;
  const auto slow = std::make_shared<std::vector<Fd>>(std::move(fds));
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread([held = slow]() mutable { held->clear(); }).detach();
  } catch (const std::system_error& error) {
    // Better a few descriptors lost than everyone waiting.
    log(LogLevel::warning, "descriptors.left_open",
        {{"number", slow->size()}, {"error", error.what()}});
    for (Fd& fd : *slow) fd.release();
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void sift_untrusted(std::vector<Fd>& fds) {
  std::vector<Fd> slow;
  for (Fd& fd : fds)
    if (fd && !closes_at_once(fd.get())) slow.push_back(std::move(fd));
  close_untrusted(std::move(slow));
}

void close_connection(Fd socket) {
  if (!socket) return;
  // From now on nothing can be put into it. An empty record looks like the end, so reading goes on.
  ::shutdown(socket.get(), SHUT_RDWR);
  for (int i = 0; i < kMostLeft; ++i) {
    auto record = receive_record(socket.get(), Wait::no);
    if (record) close_untrusted(std::move(record->fds));
  }
}

}  // namespace uarena::ipc
