#include "tests/systemd/machine.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <stdexcept>

namespace uarena::testing {
namespace {

using Clock = std::chrono::steady_clock;

// The script is nobody's child, so that whoever kills this process and its children leaves it to
// clean up.
Machine::Words script_words() {
  return {"/usr/bin/setsid", "--fork",
          "/bin/bash",       UARENA_SOURCE_DIR "/tools/machine/machine.sh",
          UARENA_BUILD_DIR,  UARENA_STAGE_DIR};
}

}  // namespace

std::unique_ptr<Machine> Machine::boot(std::string& why) {
  auto script = std::make_unique<ChildProcess>(script_words());
  const std::string line = script->read_line(std::chrono::seconds(40));
  if (line.starts_with("cannot ")) {
    why = "no machine can be booted here: " + line.substr(std::string("cannot ").size());
    return nullptr;
  }
  if (!line.starts_with("up ")) throw std::runtime_error("the machine did not come up");
  return std::unique_ptr<Machine>(new Machine(std::move(script), std::stoi(line.substr(3))));
}

Machine::Machine(std::unique_ptr<ChildProcess> script, pid_t pid)
    : script_(std::move(script)),
      pid_(pid),
      log_pipe_(::open(path("/run/machine/log").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC)) {
  if (!log_pipe_) throw std::runtime_error("cannot open the machine's log");
  ::fcntl(log_pipe_.get(), F_SETPIPE_SZ, 1 << 20);
}

// The script's output ends when all is removed.
Machine::~Machine() {
  script_->close_stdin();
  script_->read_all();
}

std::string Machine::path(const std::string& inside) const {
  return "/proc/" + std::to_string(pid_) + "/root" + inside;
}

Machine::Words Machine::inside(const Words& words, User user) const {
  Words all{"/usr/bin/nsenter",
            "--target",
            std::to_string(pid_),
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--cgroup",
            "--",
            "/usr/bin/env",
            "-i",
            "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/run/machine/build/bin:/run/machine/"
            "build/tests",
            "LD_LIBRARY_PATH=/usr/local/lib"};
  if (user.uid != 0) {
    const std::string id = std::to_string(user.uid);
    const Words become{"/usr/bin/setpriv", "--reuid", id, "--regid", id};
    all.insert(all.end(), become.begin(), become.end());
    if (user.in_group)
      all.insert(all.end(), {"--groups", "uarena"});
    else
      all.push_back("--clear-groups");
    all.push_back("--");
  }
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

RunOutput Machine::run(const Words& words, User user) const {
  return run_command(inside(words, user));
}

std::unique_ptr<ChildProcess> Machine::start(const Words& words, User user) const {
  return std::make_unique<ChildProcess>(inside(words, user));
}

std::string Machine::property(const std::string& unit, const std::string& name) const {
  std::string value = run({"systemctl", "show", "-P", name, unit}).out;
  if (value.ends_with('\n')) value.pop_back();
  return value;
}

void Machine::drop_in(const std::string& unit, const std::string& lines) const {
  const std::string directory = "/run/systemd/system/" + unit + ".d";
  const RunOutput done = run({"sh", "-c",
                              "mkdir -p " + directory + " && printf '%s' \"$0\" >>" + directory +
                                  "/test.conf && systemctl daemon-reload",
                              lines});
  if (done.exit_code() != 0) throw std::runtime_error("no drop-in for " + unit + ": " + done.err);
}

std::string Machine::log() {
  char block[65536];
  for (ssize_t n; (n = ::read(log_pipe_.get(), block, sizeof block)) > 0;)
    log_.append(block, static_cast<size_t>(n));
  return log_;
}

size_t Machine::wait_for_log(const std::string& text, size_t from,
                             std::chrono::milliseconds limit) {
  const auto end = Clock::now() + limit;
  for (;;) {
    const size_t at = log().find(text, from);
    if (at != std::string::npos) return at + text.size();
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    pollfd event{log_pipe_.get(), POLLIN, 0};
    if (left.count() <= 0 || ::poll(&event, 1, static_cast<int>(left.count())) == 0)
      return std::string::npos;
  }
}

}  // namespace uarena::testing
