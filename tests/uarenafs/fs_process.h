// A real uarenafs for a test: mounted on a directory of its own when the constructor returns, and
// unmounted in the end, whatever became of the process.
#pragma once

#include <sys/mount.h>
#include <unistd.h>

#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/broker_process.h"

namespace uarena::testing {

class FsProcess {
 public:
  explicit FsProcess(const std::string& socket, const std::string& options = "")
      : path_(dir_.path() + "/m") {
    if (::mkdir(path_.c_str(), 0755) != 0) throw std::runtime_error("no mount point");
    ::chmod(dir_.path().c_str(), 0755);
    start("-s " + socket + " " + options + " " + path_);
  }
  ~FsProcess() {
    if (process_) {
      process_->kill(SIGCONT);
      process_->kill(SIGTERM);
      if (process_->wait(std::chrono::seconds(20)) == -1) process_->kill(SIGKILL);
    }
    while (::umount2(path_.c_str(), MNT_DETACH) == 0) {
    }
  }
  FsProcess(const FsProcess&) = delete;
  FsProcess& operator=(const FsProcess&) = delete;

  // Another one on the same mount point, after the first has ended.
  void start(const std::string& arguments) {
    process_ = std::make_unique<ChildProcess>(std::vector<std::string>{
        "/bin/sh", "-c", "exec " UARENA_BIN_DIR "/uarenafs " + arguments + " 2>&1"});
    if (!wait_for_log("event=fs.ready")) throw std::runtime_error("uarenafs: " + log_);
  }

  const std::string& path() const { return path_; }
  ChildProcess& process() { return *process_; }
  const std::string& log() const { return log_; }
  // Reads the log up to a line that contains `text`; false at its end, or after a limit.
  bool wait_for_log(const std::string& text) {
    while (true) {
      const std::string line = process_->read_line();
      if (line.empty()) return false;
      log_ += line + "\n";
      if (line.find(text) != std::string::npos) return true;
    }
  }

 private:
  TempDir dir_;
  std::string path_;
  std::unique_ptr<ChildProcess> process_;
  std::string log_;
};

}  // namespace uarena::testing
