// A real uarenad for a test: started on a socket in a temporary directory of its own, ready when
// the constructor returns, stopped by SIGTERM at the end. What it holds (descriptors, mappings) can
// be counted, so that a test can say that nothing leaked. Failures are std::runtime_error.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "ipc/base/fd.h"

namespace uarena::testing {

// Whom a BrokerProcess runs as where the test leaves it open. Our own uid, or
// $UARENA_TEST_BROKER_UID: the integration tests run once with a broker that is another user than
// its clients (`./dev test --ways`).
uid_t service_uid();

// A temporary directory, removed with everything in it. It belongs to service_uid().
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Resources {
  size_t descriptors = 0;
  size_t mappings = 0;  // of memory files, and reservations of a GiB and more
  size_t threads = 0;
  friend bool operator==(const Resources&, const Resources&) = default;
};

class BrokerProcess {
 public:
  // `uid` 0: service_uid(), with the capability that the service has; else the daemon runs as that
  // uid without capabilities. `launcher`: a command that starts it and becomes it.
  explicit BrokerProcess(std::vector<std::string> extra_arguments = {}, uid_t uid = 0,
                         std::vector<std::string> launcher = {});
  ~BrokerProcess();
  BrokerProcess(const BrokerProcess&) = delete;
  BrokerProcess& operator=(const BrokerProcess&) = delete;

  const std::string& socket() const { return socket_; }
  pid_t pid() const { return pid_; }
  bool alive() const;
  Resources resources() const;
  // What it wrote on standard error so far.
  std::string log();
  // Waits until the log contains `text` (true), or the limit passes or the daemon ends (false).
  bool wait_for_log(const std::string& text,
                    std::chrono::milliseconds limit = std::chrono::seconds(10));
  // Waits until it has logged the end of every client that it has logged, and holds a steady number
  // of things.
  bool wait_until_alone(std::chrono::milliseconds limit = std::chrono::seconds(10));
  // Waits until resources() is no more than `expected` again; the daemon cleans up on other
  // threads.
  bool wait_for_resources(const Resources& expected,
                          std::chrono::milliseconds limit = std::chrono::seconds(10)) const;
  // SIGTERM, and the exit status as from waitpid; -1 when it did not end in time.
  int stop();

 private:
  TempDir dir_;
  std::string socket_;
  pid_t pid_ = -1;
  Fd stderr_;
  std::string log_;
};

// A child process: argv[0] is a path. Standard input and output are pipes, standard error is ours.
class ChildProcess {
 public:
  ChildProcess(std::vector<std::string> argv, std::vector<std::string> environment = {},
               uid_t uid = 0);
  ~ChildProcess();  // kills what still runs
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  void write_line(const std::string& line);
  void close_stdin() { stdin_.reset(); }
  // The next line of its output without the newline; "" at its end or after the limit.
  std::string read_line(std::chrono::milliseconds limit = std::chrono::seconds(10));
  // `count` bytes; fewer at its end or after the limit.
  std::string read_bytes(size_t count, std::chrono::milliseconds limit = std::chrono::seconds(10));
  std::string read_all(std::chrono::milliseconds limit = std::chrono::seconds(30));
  // Exit status as from waitpid; -1 when it did not end in time.
  int wait(std::chrono::milliseconds limit = std::chrono::seconds(30));
  void kill(int signal);

 private:
  pid_t pid_ = -1;
  int status_ = -1;
  Fd stdin_, stdout_, pidfd_;
  std::string buffer_;
};

// Runs to the end and returns what it printed and how it ended.
struct RunOutput {
  std::string out;
  std::string err;
  int status = -1;        // as from waitpid
  int exit_code() const;  // -1 if it did not exit by itself
};
RunOutput run_command(const std::vector<std::string>& argv, const std::string& input = "",
                      uid_t uid = 0);

}  // namespace uarena::testing
