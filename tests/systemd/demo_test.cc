// ./dev demo --systemd: that it holds, that it leaves nothing behind also when it is ended in the
// middle, and what it says where it can't be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "tests/support/broker_process.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kScript = UARENA_SOURCE_DIR "/tools/examples/demo/systemd.sh";
const std::string kDev = UARENA_SOURCE_DIR "/dev";
constexpr char kCannot[] = "demo: no machine can be booted here: ";
constexpr uid_t kNobody = 65534;

class DemoTest : public ::testing::Test {
 protected:
  std::vector<std::string> demo() const {
    return {"/usr/bin/env", "TMPDIR=" + temp_.path(), "/bin/bash", kScript, UARENA_BUILD_DIR};
  }
  void expect_nothing_left() const {
    EXPECT_TRUE(std::filesystem::is_empty(temp_.path()));
    EXPECT_TRUE(std::filesystem::is_empty(UARENA_BUILD_DIR "/machine"));
  }
  TempDir temp_;
};

TEST_F(DemoTest, HoldsAndLeavesNothing) {
  const RunOutput done = run_command(demo());
  if (done.err.starts_with(kCannot)) GTEST_SKIP() << done.err;
  EXPECT_EQ(done.exit_code(), 0) << done.out << done.err;
  EXPECT_EQ(done.err, "");
  EXPECT_THAT(done.out, HasSubstr("  ok bob's touch: 42\n"));
  EXPECT_THAT(done.out, Not(HasSubstr("  NO ")));
  EXPECT_THAT(done.out, HasSubstr("\nAll of it held.\n"));
  expect_nothing_left();
}

TEST_F(DemoTest, LeavesNothingWhenItIsEnded) {
  std::vector<std::string> words = demo();
  words.insert(words.begin(), {"/bin/sh", "-c", "exec \"$@\" 2>&1", "sh"});
  ChildProcess started(words);
  std::string line;
  // An empty line is one before a step, or the end.
  for (int i = 0; i < 100 && !line.starts_with("2. "); ++i) {
    line = started.read_line();
    if (line.starts_with(kCannot)) GTEST_SKIP() << line;
  }
  ASSERT_TRUE(line.starts_with("2. ")) << line;
  started.kill(SIGTERM);
  const int status = started.wait();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << status;
  expect_nothing_left();
}

TEST_F(DemoTest, SaysInOneLineThatItNeedsRoot) {
  const uid_t uid = ::geteuid() == 0 ? kNobody : 0;  // 0: as we are
  const RunOutput dev = run_command({kDev, "demo", "--systemd"}, "", uid);
  EXPECT_EQ(dev.exit_code(), 1);
  EXPECT_EQ(dev.out, "");
  EXPECT_THAT(dev.err, HasSubstr("needs root"));
  EXPECT_EQ(std::ranges::count(dev.err, '\n'), 1) << dev.err;
  const RunOutput script = run_command({"/bin/bash", kScript, UARENA_BUILD_DIR}, "", uid);
  EXPECT_EQ(script.exit_code(), 1);
  EXPECT_EQ(script.err, std::string(kCannot) + "not root\n");
}

TEST_F(DemoTest, RefusesWhatItDoesNotKnow) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"--everything"}, {"--systemd", "more"}, {"more"}}) {
    std::vector<std::string> argv{kDev, "demo"};
    argv.insert(argv.end(), words.begin(), words.end());
    const RunOutput done = run_command(argv);
    EXPECT_EQ(done.exit_code(), 2) << ::testing::PrintToString(words);
    EXPECT_EQ(done.out, "");
    EXPECT_THAT(done.err, HasSubstr("usage: "));
  }
}

}  // namespace
}  // namespace uarena::testing
