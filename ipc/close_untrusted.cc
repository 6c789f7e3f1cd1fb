// A thread for each set of descriptors that may take its time. They are rare: no client that means
// well sends such a descriptor where it is not wanted.
#include "ipc/close_untrusted.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string_view>

#include "ipc/base/slow_calls.h"
#include "ipc/scm_rights.h"

namespace uarena::ipc {
namespace {

// A name of this form can't be forged: paths start with '/' or with "(unreachable)".
bool is_eventfd(int fd) {
  char name[32];
  const ssize_t length = ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), name, sizeof name);
  return std::string_view(name, length > 0 ? static_cast<size_t>(length) : 0) ==
         "anon_inode:[eventfd]";
}

}  // namespace

bool closes_at_once(int fd) { return ::fcntl(fd, F_GET_SEALS) >= 0 || is_eventfd(fd); }

void close_untrusted(std::vector<Fd> fds) {
  std::erase_if(fds, [](const Fd& fd) { return !fd || closes_at_once(fd.get()); });
  if (fds.empty()) return;
  call_slowly([slow = std::make_shared<std::vector<Fd>>(std::move(fds))] { slow->clear(); });
}

void close_connection(Fd socket) {
  if (!socket) return;
  // From now on nothing can be put into it.
  ::shutdown(socket.get(), SHUT_RDWR);
  receive_the_rest(socket.get());
}

}  // namespace uarena::ipc
