// The machines themselves: that they leave nothing behind, however they end.
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include "tests/systemd/machine_fixture.h"

namespace uarena::testing {
namespace {

namespace fs = std::filesystem;

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Where the cgroup of a machine's PID 1 is, seen from here: its machine's part of the path.
std::string cgroup_of(pid_t pid) {
  const std::string text = text_of("/proc/" + std::to_string(pid) + "/cgroup");
  const size_t at = text.find("uarena-machine.");
  return at == std::string::npos ? "" : text.substr(at, text.find_first_of("/\n", at) - at);
}

bool cgroup_is_there(const std::string& name) {
  // Where cgroup2 is mounted differs; some process's mounts have it.
  for (const char* place : {"/sys/fs/cgroup/unified/", "/sys/fs/cgroup/"})
    if (fs::exists(place + name)) return true;
  return false;
}

// Waits for the end of a process that is not our child; false after the limit.
bool gone(const Fd& pidfd) {
  pollfd event{pidfd.get(), POLLIN, 0};
  return ::poll(&event, 1, 10'000) == 1;
}

Fd pidfd_of(pid_t pid) { return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

using MachineTest = InMachine;

TEST_F(MachineTest, CannotReachTheSystemAroundIt) {
  const std::string host = text_of("/proc/sys/fs/file-max");
  EXPECT_NE(machine_->run({"sh", "-c", "echo 12345 >/proc/sys/fs/file-max"}).exit_code(), 0);
  EXPECT_EQ(text_of("/proc/sys/fs/file-max"), host);
  EXPECT_NE(machine_->run({"sh", "-c", "echo 1 >/sys/kernel/mm/ksm/run"}).exit_code(), 0);
  ok({"touch", "/etc/of-the-machine"});
  EXPECT_FALSE(fs::exists("/etc/of-the-machine"));
  EXPECT_TRUE(fs::exists(machine_->path("/etc/of-the-machine")));
}

TEST_F(MachineTest, LeavesNothing) {
  const Fd init = pidfd_of(machine_->pid());
  const std::string cgroup = cgroup_of(machine_->pid());
  ASSERT_NE(cgroup, "");
  ASSERT_TRUE(cgroup_is_there(cgroup));
  systemctl({"start", kBrokerSocket});
  ok({"uarena", "daemon", "status"}, kMember);
  machine_.reset();  // returns when all is removed
  EXPECT_TRUE(gone(init));
  EXPECT_FALSE(cgroup_is_there(cgroup));
  EXPECT_EQ(text_of("/proc/self/mountinfo").find("/machine"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(UARENA_BUILD_DIR "/machine"));
}

// A test that is killed can't say goodbye.
TEST_F(MachineTest, LeavesNothingWhenTheTestIsKilled) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd from_test(ends[0]);
  Fd to_us(ends[1]);
  const pid_t test = ::fork();
  ASSERT_GE(test, 0);
  if (test == 0) {
    std::string why;
    const auto machine = Machine::boot(why);
    const pid_t init = machine->pid();
    if (::write(to_us.get(), &init, sizeof init) != sizeof init) ::_exit(1);
    for (;;) ::pause();
  }
  to_us.reset();
  pid_t init = 0;
  ASSERT_EQ(::read(from_test.get(), &init, sizeof init), static_cast<ssize_t>(sizeof init));
  const Fd alive = pidfd_of(init);
  const std::string cgroup = cgroup_of(init);
  ASSERT_NE(cgroup, "");
  ASSERT_TRUE(cgroup_is_there(cgroup));
  ::kill(test, SIGKILL);
  ASSERT_EQ(::waitpid(test, nullptr, 0), test);
  EXPECT_TRUE(gone(alive));
  // The script's last act; it is nobody's child, and so there is nobody to wait for it with.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (cgroup_is_there(cgroup) && std::chrono::steady_clock::now() < end) ::poll(nullptr, 0, 5);
  EXPECT_FALSE(cgroup_is_there(cgroup));
}

}  // namespace
}  // namespace uarena::testing
