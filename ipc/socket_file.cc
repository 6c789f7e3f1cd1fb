// bind_socket_file reads from the bottom: lock the directory, clear away what is stale, bind.
#include "ipc/socket_file.h"

#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <ctime>

namespace uarena::ipc {
namespace {

constexpr size_t kMaxPath = sizeof(sockaddr_un::sun_path) - 1;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() > kMaxPath)
    return fail(path.empty() ? EINVAL : ENAMETOOLONG,
                "a socket's path has 1..{} bytes, this one has {}", kMaxPath, path.size());
  path.copy(address.sun_path, path.size());
  return address;
}

Result<Fd> new_socket() {
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno(errno, "cannot make a socket");
  return socket;
}

// Others hold this lock for microseconds; whoever holds it for a second does not mean well.
Result<Fd> lock_directory(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "."
                                : slash == 0               ? "/"
                                                           : path.substr(0, slash);
  Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "cannot open the directory {}", directory);
  constexpr int kTries = 100;
  constexpr timespec kPause{0, 10'000'000};
  for (int i = 0; i < kTries; ++i) {
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
    if (errno != EWOULDBLOCK && errno != EINTR)
      return fail_errno(errno, "cannot lock the directory {}", directory);
    ::nanosleep(&kPause, nullptr);
  }
  return fail(EBUSY, "another process holds a lock on the directory {}", directory);
}

Result<void> remove_if_stale(const std::string& path, const sockaddr_un& address) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) < 0) {
    if (errno == ENOENT) return {};
    return fail_errno(errno, "cannot look at {}", path);
  }
  if (!S_ISSOCK(found.st_mode)) return fail(EEXIST, "{} exists and is not a socket", path);

  auto probe = new_socket();
  if (!probe) return std::unexpected(std::move(probe.error()));
  const bool connected =
      ::connect(probe->get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  // Another type of socket (EPROTOTYPE) or a full backlog (EAGAIN) is somebody, too.
  if (connected || errno != ECONNREFUSED)
    return fail(EADDRINUSE, "somebody answers on the socket {} already", path);
  if (::unlink(path.c_str()) < 0) return fail_errno(errno, "cannot remove the stale {}", path);
  return {};
}

// What SO_… says, or -1 with errno.
int socket_option(int socket, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(socket, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

}  // namespace

SocketFile::~SocketFile() {
  struct stat found{};
  if (path_.empty() || ::lstat(path_.c_str(), &found) < 0) return;
  if (found.st_dev == device_ && found.st_ino == inode_) ::unlink(path_.c_str());
}

std::optional<SocketFile> SocketFile::find(const std::string& path, dev_t device, ino_t inode) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) < 0 || found.st_dev != device || found.st_ino != inode)
    return std::nullopt;
  return SocketFile(path, found);
}

Result<BoundSocket> bind_socket_file(const std::string& path, mode_t mode, int backlog) {
  const auto address = address_of(path);
  if (!address) return std::unexpected(address.error());
  const auto lock = lock_directory(path);
  if (!lock) return std::unexpected(lock.error());
  if (auto ok = remove_if_stale(path, *address); !ok) return std::unexpected(std::move(ok.error()));

  auto socket = new_socket();
  if (!socket) return std::unexpected(std::move(socket.error()));
  if (::bind(socket->get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) < 0)
    return fail_errno(errno, "cannot bind the socket {}", path);
  struct stat identity{};
  if (::lstat(path.c_str(), &identity) < 0) return fail_errno(errno, "cannot look at {}", path);
  BoundSocket bound{std::move(*socket), SocketFile(path, identity)};
  // Nobody can connect before listen, so there is no moment at which the mode is a wider one.
  if (::chmod(path.c_str(), mode) < 0) return fail_errno(errno, "cannot set the mode of {}", path);
  if (::listen(bound.socket.get(), backlog) < 0)
    return fail_errno(errno, "cannot listen on {}", path);
  return bound;
}

std::string path_of(int socket) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  constexpr size_t kBefore = offsetof(sockaddr_un, sun_path);
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) < 0 ||
      address.sun_family != AF_UNIX || size <= kBefore)
    return "";
  const std::string name(address.sun_path, std::min<size_t>(size, sizeof address) - kBefore);
  return name[0] == '\0' ? '@' + name.substr(1) : std::string(name.c_str());
}

Result<void> check_listening(int socket) {
  const int type = socket_option(socket, SO_TYPE);
  if (type < 0) return fail_errno(errno, "the inherited descriptor is no socket");
  if (type != SOCK_SEQPACKET || socket_option(socket, SO_DOMAIN) != AF_UNIX ||
      socket_option(socket, SO_ACCEPTCONN) != 1)
    return fail(EINVAL, "the inherited socket is not a listening SOCK_SEQPACKET Unix socket");
  return {};
}

}  // namespace uarena::ipc
