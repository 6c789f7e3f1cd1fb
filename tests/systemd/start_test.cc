// uarena-start from the command line: what it refuses, in one line, before it does anything. What
// it does for a service is tested where there is one (broker_unit_test, fs_unit_test).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/broker_process.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;

const std::string kHelper = UARENA_BIN_DIR "/uarena-start";

void expect_one_line(const std::vector<std::string>& words, int exit_code,
                     const std::string& part) {
  SCOPED_TRACE(::testing::PrintToString(words));
  std::vector<std::string> argv{"/usr/bin/env", "-u", "NOTIFY_SOCKET", kHelper};
  argv.insert(argv.end(), words.begin(), words.end());
  const RunOutput done = run_command(argv);
  EXPECT_EQ(done.exit_code(), exit_code);
  EXPECT_EQ(done.out, "");
  EXPECT_TRUE(done.err.starts_with("uarena-start: ")) << done.err;
  EXPECT_EQ(std::ranges::count(done.err, '\n'), 1) << done.err;
  EXPECT_THAT(done.err, HasSubstr(part));
}

TEST(StartHelper, RefusesWhatItDoesNotKnow) {
  expect_one_line({}, 2, "subcommand");
  expect_one_line({"everything"}, 2, "subcommand");
  expect_one_line({"mount"}, 2, "DIRECTORY");
  expect_one_line({"mount", "fs"}, 2, "absolute path");
  expect_one_line({"mount", "/run/a\nb", "more"}, 2, "more");
  expect_one_line({"unmount", ""}, 2, "absolute path");
  expect_one_line({"devices", "--cpu-dma-latency", "-1"}, 2, "--cpu-dma-latency");
  expect_one_line({"devices", "--cpu-dma-latency", "1000001"}, 2, "--cpu-dma-latency");
  expect_one_line({"devices", "--cpu-dma-latency", "low"}, 2, "low");
}

TEST(StartHelper, IsForServicesOnly) {
  expect_one_line({"devices"}, 1, "ExecStartPre=");
  expect_one_line({"mount", "/run/uarena-is-not-here"}, 1, "ExecStartPre=");
}

}  // namespace
}  // namespace uarena::testing
