// Between fork and exec there is one thread, which has all that it needs in variables.
#include "broker/keeper_child.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <unordered_map>

namespace uarena::broker {
namespace {

constexpr const char* kKeeperPid = "UARENAD_KEEPER_PID";

// Ours to say, or meant for the keeper. WATCHDOG_USEC stays: the child's signs of life are passed
// on.
constexpr std::array<std::string_view, 7> kNotInherited = {
    "LISTEN_PID", "LISTEN_FDS",   "LISTEN_FDNAMES", "NOTIFY_SOCKET",
    "FDSTORE",    "WATCHDOG_PID", kKeeperPid};

std::vector<std::string> environment_of(const ChildPlan& plan) {
  std::vector<std::string> variables;
  for (char** entry = ::environ; *entry != nullptr; ++entry) {
    const std::string_view variable = *entry;
    if (std::ranges::find(kNotInherited, variable.substr(0, variable.find('='))) ==
        kNotInherited.end())
      variables.emplace_back(variable);
  }
  const size_t count = plan.fds.size();
  variables.push_back(fmt::format("NOTIFY_SOCKET=/proc/self/fd/{}", SD_LISTEN_FDS_START + count));
  variables.push_back(fmt::format("FDSTORE={}", plan.store_max));
  variables.push_back(fmt::format("{}={}", kKeeperPid, ::getpid()));
  if (count != 0) {
    variables.push_back(fmt::format("LISTEN_FDS={}", count));
    variables.push_back("LISTEN_FDNAMES=" + plan.fd_names);
  }
  return variables;
}

// Descriptor i gets the number 3 + i and is inherited. Each is moved at most once to make room, in
// the first free place, and once to where it belongs.
bool place(std::vector<int> fds) {
  std::unordered_map<int, size_t> index_of;
  for (size_t i = 0; i < fds.size(); ++i) index_of[fds[i]] = i;
  for (size_t i = 0; i < fds.size(); ++i) {
    const int target = SD_LISTEN_FDS_START + static_cast<int>(i);
    if (fds[i] == target) {
      if (::fcntl(target, F_SETFD, 0) != 0) return false;
      continue;
    }
    if (const auto occupant = index_of.find(target); occupant != index_of.end()) {
      const int moved = ::fcntl(target, F_DUPFD_CLOEXEC, SD_LISTEN_FDS_START);
      if (moved < 0) return false;
      const size_t who = occupant->second;
      index_of.erase(occupant);
      fds[who] = moved;
      index_of[moved] = who;
    }
    if (::dup2(fds[i], target) < 0) return false;
    ::close(fds[i]);
    index_of.erase(fds[i]);
  }
  return true;
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> all;
  for (const std::string& s : strings) all.push_back(const_cast<char*>(s.c_str()));
  all.push_back(nullptr);
  return all;
}

}  // namespace

Result<KeeperChild> start_child(const ChildPlan& plan) {
  auto variables = environment_of(plan);
  // The pid is known to the child only, which writes it behind this.
  constexpr std::string_view kListenPid = "LISTEN_PID=";
  std::array<char, 32> listen_pid{};
  kListenPid.copy(listen_pid.data(), kListenPid.size());
  std::vector<char*> environment = pointers(variables);
  environment.insert(environment.begin(), listen_pid.data());
  const std::vector<char*> arguments = pointers(plan.arguments);
  std::vector<int> fds = plan.fds;
  fds.push_back(plan.notify_address);

  KeeperChild child;
  child.pid = ::fork();
  if (child.pid < 0) return fail_errno(errno, "cannot start a process");
  if (child.pid == 0) {
    std::to_chars(listen_pid.data() + kListenPid.size(), listen_pid.end() - 1, ::getpid());
    if (place(std::move(fds))) {
      ::sigprocmask(SIG_SETMASK, &plan.signals, nullptr);
      ::execve("/proc/self/exe", arguments.data(), environment.data());
    }
    std::fprintf(stderr, "uarenad: cannot start the broker: %s\n", strerrordesc_np(errno));
    ::_exit(EXIT_FAILURE);
  }
  child.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, child.pid, 0)));
  if (child.pidfd) return child;
  const int error = errno;
  ::kill(child.pid, SIGKILL);  // one that nobody watches is of no use
  ::waitpid(child.pid, nullptr, 0);
  return fail_errno(error, "cannot watch the broker's process");
}

// Set here and not before exec, which takes it back for a program with file capabilities.
void die_with_keeper() {
  const char* text = std::getenv(kKeeperPid);
  if (text == nullptr) return;
  pid_t keeper = 0;
  std::from_chars(text, text + std::strlen(text), keeper);
  ::unsetenv(kKeeperPid);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != keeper) ::_exit(EXIT_FAILURE);     // it died before that
  ::prctl(PR_SET_NAME, program_invocation_short_name);  // /proc/self/exe made it "exe"
}

}  // namespace uarena::broker
