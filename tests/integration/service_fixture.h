// A uarenad as a service manager would start it: with an environment, descriptors at 3, 4, 5…, and
// a log that the test reads.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/support/broker_process.h"
#include "tests/support/fake_manager.h"
#include "tests/support/raw_client.h"

namespace uarena::testing {

using Words = std::vector<std::string>;

inline bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

// Does a broker answer there?
inline bool answers(const std::string& path) {
  RawClient client(path);
  return client.hello().has_value();
}

struct PassedFd {
  std::string name;
  const Fd* fd;
};

class Service {
 public:
  Service(const Words& arguments, const Words& environment = {},
          const std::vector<PassedFd>& passed = {}, uid_t uid = 0)
      : copies_(copies_of(passed)), child_(command(arguments, environment, passed), {}, uid) {
    copies_.clear();
  }

  ChildProcess& process() { return child_; }
  pid_t pid() const { return child_.pid(); }
  const std::string& log() const { return log_; }

  // The next line with that in it; "" if none comes.
  std::string line_with(const std::string& text) {
    for (;;) {
      const std::string line = child_.read_line();
      if (line.empty()) return "";
      log_ += line + '\n';
      if (line.find(text) != std::string::npos) return line;
    }
  }
  // The next broker that is ready: its pid, 0 if none comes.
  pid_t ready() { return number_in(ready_line(), " pid="); }
  std::string ready_line() { return line_with("event=daemon.ready"); }
  static pid_t number_in(const std::string& line, const std::string& key) {
    const size_t at = line.find(key);
    return at == line.npos ? 0 : std::stoi(line.substr(at + key.size()));
  }

  // Returns when it stands still.
  void pause() {
    child_.kill(SIGSTOP);
    int status = 0;
    EXPECT_EQ(::waitpid(pid(), &status, WUNTRACED), pid());
    EXPECT_TRUE(WIFSTOPPED(status));
  }
  void go_on() { child_.kill(SIGCONT); }

  // The exit code, or 128 + signal; -1 if it goes on.
  int wait() {
    const int status = child_.wait();
    log_ += child_.read_all();
    return status == -1 ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  int stop(int signal = SIGTERM) {
    child_.kill(signal);
    return wait();
  }

 private:
  // Inheritable, and out of the way of the places that they are to have.
  static std::vector<Fd> copies_of(const std::vector<PassedFd>& passed) {
    std::vector<Fd> copies;
    for (const PassedFd& one : passed) copies.emplace_back(::fcntl(one.fd->get(), F_DUPFD, 100));
    return copies;
  }
  // The shell puts descriptors in their places and knows its pid, which stays the daemon's.
  Words command(const Words& arguments, const Words& environment,
                const std::vector<PassedFd>& passed) const {
    std::string line = "exec 2>&1";
    std::string names;
    for (size_t i = 0; i < passed.size(); ++i) {
      const std::string number = std::to_string(copies_[i].get());
      // One by one: a shell keeps what a redirection replaces at 10 and above while it lasts.
      line += "; exec " + std::to_string(i + 3) + "<&" + number + "; exec " + number + "<&-";
      names += passed[i].name + ':';
    }
    line += "; exec env";
    if (!passed.empty()) {
      names.pop_back();
      line += " LISTEN_PID=$$ LISTEN_FDS=" + std::to_string(passed.size()) + " LISTEN_FDNAMES='" +
              names + "'";
    }
    for (const std::string& variable : environment) line += " '" + variable + "'";
    line += " " UARENA_BIN_DIR "/uarenad";
    for (const std::string& argument : arguments) line += " '" + argument + "'";
    return {"/bin/bash", "-c", line};
  }

  std::vector<Fd> copies_;
  ChildProcess child_;
  std::string log_;
};

// A listening socket as a manager makes one.
inline Fd listen_at(const std::string& path) {
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(socket.get(), 16), 0);
  return socket;
}

// Waits for the end of a process that is not our child.
class Watched {
 public:
  explicit Watched(pid_t pid) : pidfd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  bool has_ended(int limit_ms = 10'000) const {
    pollfd event{pidfd_.get(), POLLIN, 0};
    return pidfd_ && ::poll(&event, 1, limit_ms) == 1;
  }
  void kill() const { ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0); }

 private:
  Fd pidfd_;
};

}  // namespace uarena::testing
