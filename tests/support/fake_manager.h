// A service manager as far as sd_notify(3) goes: a datagram socket, read by the test. Messages come
// with their descriptors and the pid of who sent them.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "ipc/base/fd.h"

namespace uarena::testing {

class FakeManager {
 public:
  struct Message {
    std::string text;  // "": there was none
    std::vector<Fd> fds;
    pid_t sender = 0;
  };

  FakeManager() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    if (::bind(socket_.get(), any, sizeof(sa_family_t)) != 0 ||  // the kernel chooses one
        ::getsockname(socket_.get(), any, &size) != 0)
      std::abort();
    address_ = '@' + std::string(address.sun_path + 1, size - offsetof(sockaddr_un, sun_path) - 1);
  }

  // For NOTIFY_SOCKET.
  const std::string& address() const { return address_; }
  void go_away() { socket_.reset(); }

  // The next message that is not about the ledger or a client, which every broker puts; without a
  // limit only what is there already.
  Message next(std::chrono::milliseconds limit = {}) {
    for (;;) {
      Message message = receive(limit);
      const auto about = [&](const char* name) {
        return message.text.find(std::string("FDNAME=") + name) != std::string::npos;
      };
      if (!about("ledger") && !about("client.")) return message;
    }
  }
  Message receive(std::chrono::milliseconds limit) {
    pollfd event{socket_.get(), POLLIN, 0};
    if (::poll(&event, 1, static_cast<int>(limit.count())) != 1) return {};
    char text[8192];
    alignas(cmsghdr) char control[2048];
    iovec io{text, sizeof text};
    msghdr header{};
    header.msg_iov = &io;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    const ssize_t size = ::recvmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) return {};
    Message message;
    message.text.assign(text, static_cast<size_t>(size));
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
      if (c->cmsg_type == SCM_CREDENTIALS) {
        ucred who;
        std::memcpy(&who, CMSG_DATA(c), sizeof who);
        message.sender = who.pid;
      }
      if (c->cmsg_type != SCM_RIGHTS) continue;
      for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
        message.fds.emplace_back(fd);
      }
    }
    return message;
  }

  // The first message that begins like that; others are passed over. "" after the limit.
  Message wait_for(const std::string& beginning,
                   std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - std::chrono::steady_clock::now());
      Message message = next(std::max(left, std::chrono::milliseconds(0)));
      if (message.text.empty() || message.text.starts_with(beginning)) return message;
    }
  }

 private:
  Fd socket_;
  std::string address_;
};

}  // namespace uarena::testing
