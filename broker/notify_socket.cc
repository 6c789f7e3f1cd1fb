#include "broker/notify_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <array>
#include <cstddef>
#include <cstdlib>

#include "broker/notify_message.h"
#include "ipc/base/log.h"

namespace uarena::broker {
namespace {

constexpr size_t kMostFds = 253;  // that a datagram can carry (SCM_MAX_FD)

// A directory that nobody else can look into, for the moment between bind and unlink.
Result<std::string> private_directory() {
  int error = 0;
  for (const char* place : {"/tmp", "/dev/shm", "/run"}) {
    std::string directory = std::string(place) + "/uarenad-XXXXXX";
    if (::mkdtemp(directory.data()) != nullptr) return directory;
    error = errno;
  }
  return fail_errno(error, "cannot make a directory in /tmp, /dev/shm or /run");
}

Result<Fd> bind_and_unlink(int socket, const std::string& directory) {
  const std::string path = directory + "/notify";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno(errno, "cannot bind {}", path);
  Fd file(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  const int error = errno;
  ::unlink(path.c_str());
  if (!file) return fail_errno(error, "cannot open {}", path);
  return file;
}

// Every descriptor that arrives is owned at once, whatever else is wrong.
void read_control(msghdr& message, NotifyDatagram& datagram) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
       control = CMSG_NXTHDR(&message, control)) {
    if (control->cmsg_level != SOL_SOCKET) continue;
    if (control->cmsg_type == SCM_CREDENTIALS) {
      ucred who{};
      std::memcpy(&who, CMSG_DATA(control), sizeof who);
      datagram.sender = who.pid;
    } else if (control->cmsg_type == SCM_RIGHTS) {
      const size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof fd);
        datagram.fds.emplace_back(fd);
      }
    }
  }
}

}  // namespace

Result<NotifySocket> NotifySocket::create() {
  NotifySocket made;
  made.socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  if (!made.socket_ ||
      ::setsockopt(made.socket_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0)
    return fail_errno(errno, "cannot make a socket for notifications");
  const auto directory = private_directory();
  if (!directory) return std::unexpected(directory.error());
  auto address = bind_and_unlink(made.socket_.get(), *directory);
  ::rmdir(directory->c_str());
  if (!address) return std::unexpected(address.error());
  made.address_ = std::move(*address);
  return made;
}

std::optional<NotifyDatagram> NotifySocket::receive() const {
  std::array<char, kMaxNotifyBytes + 1> text;
  alignas(cmsghdr)
      std::array<std::byte, CMSG_SPACE(kMostFds * sizeof(int)) + CMSG_SPACE(sizeof(ucred))>
          control;
  iovec vector{text.data(), text.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t received;
  do {
    received = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return std::nullopt;
  NotifyDatagram datagram;
  read_control(message, datagram);
  if ((message.msg_flags & MSG_CTRUNC) != 0)
    log(LogLevel::error, "keeper.descriptors_lost",
        {{"reason", "no descriptor number is free"}, {"received", datagram.fds.size()}});
  datagram.text.assign(text.data(), static_cast<size_t>(received));
  return datagram;
}

}  // namespace uarena::broker
