#include "tests/uffd/child.h"

#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "tests/support/send_fds.h"

namespace uarena::uffd::testing {

bool Line::readable(int ms) const {
  pollfd wait{socket_.get(), POLLIN, 0};
  return ::poll(&wait, 1, ms) == 1;
}

bool Line::send_bytes(const void* data, size_t size) const {
  return ::send(socket_.get(), data, size, MSG_NOSIGNAL) == static_cast<ssize_t>(size);
}

bool Line::receive_bytes(void* data, size_t size) const {
  return readable(kLimitMs) && ::recv(socket_.get(), data, size, 0) == static_cast<ssize_t>(size);
}

bool Line::send_fd(int fd) const {
  return uarena::testing::send_fds(socket_.get(), std::span(&fd, 1));
}

Fd Line::receive_fd() const {
  char byte = 0;
  iovec io{&byte, 1};
  int fd = -1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (!readable(kLimitMs) || ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC) != 1) return Fd();
  if (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr)
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return Fd(fd);
}

Child::Child(const std::function<void(Line&)>& body, unsigned long clone_flags) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
  Fd ours(ends[0]);
  Fd theirs(ends[1]);
  const pid_t parent = ::getpid();
  pid_ = clone_flags == 0
             ? ::fork()
             : static_cast<pid_t>(::syscall(SYS_clone, clone_flags | SIGCHLD, 0, 0, 0, 0));
  if (pid_ < 0) std::abort();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (clone_flags == 0 && ::getppid() != parent) ::_exit(kBroken);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ours.reset();
    Line line(std::move(theirs));
    body(line);
    ::_exit(0);
  }
  pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  line_ = Line(std::move(ours));
}

Child::~Child() {
  if (status_) return;
  ::kill(pid_, SIGKILL);
  wait();
}

Peer Child::peer() const { return {.pid = pid_, .pidfd = pidfd_.dup(), .uid = ::geteuid()}; }

void Child::kill(int signal) const { ::kill(pid_, signal); }

std::optional<int> Child::wait() {
  if (status_) return status_;
  pollfd wait{pidfd_.get(), POLLIN, 0};
  int status = 0;
  if (::poll(&wait, 1, kLimitMs) == 1 && ::waitpid(pid_, &status, 0) == pid_) status_ = status;
  return status_;
}

std::string describe(std::optional<int> status) {
  if (!status) return "still running";
  if (WIFSIGNALED(*status))
    return fmt::format("killed by SIG{}", ::sigabbrev_np(WTERMSIG(*status)));
  return fmt::format("exited {}", WEXITSTATUS(*status));
}

}  // namespace uarena::uffd::testing
