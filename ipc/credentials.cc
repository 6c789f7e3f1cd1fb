// SO_PEERCRED and SO_PEERGROUPS for the numbers and SO_PEERPIDFD for the process; kernels
// before 6.5 lack the latter, and there a pidfd is opened by number. The process may have exited in
// between and its number may belong to another one; that is only ever of the same moment, and the
// connection is closed by then.
#include "ipc/credentials.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/base/uapi.h"

namespace uarena::ipc {
namespace {

Result<Fd> peer_pidfd(int socket, pid_t pid) {
  int pidfd = -1;
  socklen_t size = sizeof pidfd;
  if (::getsockopt(socket, SOL_SOCKET, kSoPeerPidfd, &pidfd, &size) == 0) return Fd(pidfd);
  if (errno != ENOPROTOOPT)
    return fail(errno == EINVAL ? ESRCH : errno, "cannot get a pidfd of process {}: {}", pid,
                strerrordesc_np(errno));
  pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) return fail_errno(errno, "cannot open a pidfd of process {}", pid);
  return Fd(pidfd);
}

// The kernel says how many there are when the room is too small.
Result<std::vector<gid_t>> peer_groups(int socket) {
  std::vector<gid_t> groups(64);  // an ordinary user has fewer
  while (true) {
    auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
      groups.resize(size / sizeof(gid_t));
      return groups;
    }
    if (errno != ERANGE) return fail_errno(errno, "cannot get the peer's groups");
    groups.resize(size / sizeof(gid_t));
  }
}

std::string read_comm(pid_t pid) {
  const Fd file(::open(fmt::format("/proc/{}/comm", pid).c_str(), O_RDONLY | O_CLOEXEC));
  char text[32];
  const ssize_t size = file ? ::read(file.get(), text, sizeof text) : 0;
  std::string comm(text, size > 0 ? static_cast<size_t>(size) : 0);
  if (!comm.empty() && comm.back() == '\n') comm.pop_back();
  return comm;
}

}  // namespace

Result<PeerCredentials> peer_credentials(int socket) {
  ucred cred{};
  socklen_t size = sizeof cred;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
    return fail_errno(errno, "cannot get the peer's credentials");
  if (cred.pid == 0) return fail(ESRCH, "the peer's process is not visible in this pid namespace");

  PeerCredentials peer;
  peer.pid = cred.pid;
  peer.uid = cred.uid;
  peer.gid = cred.gid;
  auto groups = peer_groups(socket);
  if (!groups) return std::unexpected(std::move(groups.error()));
  peer.groups = std::move(*groups);
  auto pidfd = peer_pidfd(socket, cred.pid);
  if (!pidfd) return std::unexpected(std::move(pidfd.error()));
  peer.pidfd = std::move(*pidfd);
  peer.comm = read_comm(cred.pid);
  // Only now is it certain that the name was the peer's.
  if (!is_alive(peer.pidfd)) return fail(ESRCH, "the peer's process {} has exited", cred.pid);
  return peer;
}

bool is_alive(const Fd& pidfd) {
  // A pidfd becomes readable when its process exits.
  pollfd wait{pidfd.get(), POLLIN, 0};
  int ready;
  do {
    ready = ::poll(&wait, 1, 0);
  } while (ready < 0 && errno == EINTR);
  return ready == 0;
}

}  // namespace uarena::ipc
