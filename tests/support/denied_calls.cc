#include "tests/support/denied_calls.h"

#include <linux/seccomp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace uarena::testing {
namespace {

// Waits until the first is readable (true), or the second one, or the first hangs up.
bool readable(int fd, int stop) {
  pollfd events[2] = {{fd, POLLIN, 0}, {stop, POLLIN, 0}};
  while (::poll(events, 2, -1) < 0 && errno == EINTR) {
  }
  return events[1].revents == 0 && (events[0].revents & POLLIN) != 0;
}

}  // namespace

DeniedCalls::DeniedCalls()
    : path_(directory_.path() + "/watched.sock"),
      socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      stop_(::eventfd(0, EFD_CLOEXEC)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
  if (::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket_.get(), 1) != 0)
    throw std::runtime_error("cannot listen at " + path_);
  thread_ = std::thread([this] { serve(); });
}

// What the daemon still asks is answered by the kernel then: the call fails.
DeniedCalls::~DeniedCalls() {
  const uint64_t one = 1;
  if (::write(stop_.get(), &one, sizeof one) != sizeof one) std::abort();
  thread_.join();
}

std::vector<std::string> DeniedCalls::launcher() const {
  return {UARENA_BIN_DIR "/../tests/watched", path_};
}

void DeniedCalls::deny(uint64_t request, int error) {
  error_ = error;
  denied_request_ = request;
}

void DeniedCalls::serve() {
  const Fd listener = accept_listener();
  while (listener && readable(listener.get(), stop_.get()) && answer_one(listener.get())) {
  }
}

Fd DeniedCalls::accept_listener() {
  if (!readable(socket_.get(), stop_.get())) return {};
  const Fd from(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  char byte;
  iovec part{&byte, 1};
  int fd = -1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (::recvmsg(from.get(), &message, MSG_CMSG_CLOEXEC) != 1) return {};
  if (const cmsghdr* header = CMSG_FIRSTHDR(&message))
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return Fd(fd);
}

// False: whoever was watched has ended.
bool DeniedCalls::answer_one(int listener) {
  seccomp_notif question{};
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &question) != 0)
    return errno == EINTR || errno == ENOENT;  // ENOENT: the asking thread was killed meanwhile
  seccomp_notif_resp answer{};
  answer.id = question.id;
  if (denied_request_ != 0 && question.data.args[1] == denied_request_) {
    ++denied_;
    answer.error = -error_;
  } else {
    answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  }
  return ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) == 0 || errno == ENOENT;
}

}  // namespace uarena::testing
