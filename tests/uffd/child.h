// A real client process for these tests: a fork of the test that runs a function and talks with the
// test over a SOCK_SEQPACKET pair (bytes and descriptors). Every wait has a limit; the destructor
// leaves no process behind. The body runs in a forked child: it ends by returning or _exit, and a
// failed check ends it with kBroken.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "ipc/base/fd.h"
#include "uffd/peer.h"

namespace uarena::uffd::testing {

inline constexpr int kLimitMs = 10000;
inline constexpr int kBroken = 99;

// Both ends of the conversation.
class Line {
 public:
  Line() = default;
  explicit Line(Fd socket) : socket_(std::move(socket)) {}
  bool send_fd(int fd) const;
  Fd receive_fd() const;  // empty after kLimitMs
  template <typename T>
  bool send(const T& value) const {
    return send_bytes(&value, sizeof value);
  }
  template <typename T>
  std::optional<T> receive() const {  // empty after kLimitMs or at the end
    T value{};
    if (!receive_bytes(&value, sizeof value)) return std::nullopt;
    return value;
  }
  bool go() const { return send(char{1}); }
  bool wait_go() const { return receive<char>().has_value(); }
  // Something to read within `ms`?
  bool readable(int ms) const;

 private:
  bool send_bytes(const void* data, size_t size) const;
  bool receive_bytes(void* data, size_t size) const;
  Fd socket_;
};

class Child {
 public:
  // `clone_flags`: CLONE_NEWPID, for example; needs a process without other threads.
  explicit Child(const std::function<void(Line&)>& body, unsigned long clone_flags = 0);
  ~Child();
  Child(const Child&) = delete;

  const Line& line() const { return line_; }
  pid_t pid() const { return pid_; }
  Peer peer() const;
  void kill(int signal) const;
  // The wait status; empty when it still ran after kLimitMs.
  std::optional<int> wait();

 private:
  pid_t pid_ = -1;
  Fd pidfd_;
  Line line_;
  std::optional<int> status_;
};

// Waits, for kLimitMs at most, for something that another thread does.
template <typename Predicate>
bool eventually(Predicate holds) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::milliseconds(kLimitMs);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::yield();
  }
  return true;
}

// "exited 0", "killed by SIGBUS", "still running".
std::string describe(std::optional<int> status);

}  // namespace uarena::uffd::testing
