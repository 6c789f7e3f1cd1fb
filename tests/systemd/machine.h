// A machine for one test: a real systemd as PID 1 in namespaces of its own (tools/machine), with
// uarena installed as `cmake --install` installs it, its units not yet started, and no trace of it
// left when the object goes, or the process, whichever way.
//
// In it: /usr/local is the installation, read-only; /run/machine/build is the build directory;
// there is no journal, what services log comes to log(); systemctl works, D-Bus is not there.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/support/broker_process.h"

namespace uarena::testing {

// Somebody in a machine; not a member of any group but, where it says so, of `uarena`.
struct User {
  uid_t uid = 0;
  bool in_group = false;
};
inline constexpr User kRoot{0, false};
inline constexpr User kMember{65534, true};
inline constexpr User kOtherMember{65533, true};
inline constexpr User kStranger{65532, false};

class Machine {
 public:
  using Words = std::vector<std::string>;

  // Empty where machines can't be booted: then `why` says what lacks. std::runtime_error: the means
  // are there, but it did not come up.
  static std::unique_ptr<Machine> boot(std::string& why);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // Runs a command in it to its end. Names of programs are looked up in its PATH.
  RunOutput run(const Words& words, User user = kRoot) const;
  // Starts one, whose input and output are pipes. It ends with the machine, if not before.
  std::unique_ptr<ChildProcess> start(const Words& words, User user = kRoot) const;

  // A property of a unit, as `systemctl show -P` prints it.
  std::string property(const std::string& unit, const std::string& name) const;
  // Adds lines to a unit ("[Service]\nWatchdogSec=1s\n") and reloads.
  void drop_in(const std::string& unit, const std::string& lines) const;

  // All that services have logged so far.
  std::string log();
  // Waits until that contains `text` after position `from`; where it ends, or npos after the limit.
  size_t wait_for_log(const std::string& text, size_t from = 0,
                      std::chrono::milliseconds limit = std::chrono::seconds(10));

  // A file of it, as a path out here.
  std::string path(const std::string& inside) const;
  // PID 1, as it is called out here.
  pid_t pid() const { return pid_; }

 private:
  Machine(std::unique_ptr<ChildProcess> script, pid_t pid);
  Words inside(const Words& words, User user) const;

  std::unique_ptr<ChildProcess> script_;
  pid_t pid_;
  Fd log_pipe_;
  std::string log_;
};

}  // namespace uarena::testing
