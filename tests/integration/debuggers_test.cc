// The real gdb and the real perf on a real broker: both name the functions and source lines of
// compiled BPF programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/broker_process.h"

namespace uarena::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

const std::string kUarena = std::string(UARENA_BIN_DIR) + "/uarena";
const std::string kBuild = "hex:01000000000000000000000000000000";  // one round
const std::string kLong = "hex:00010000000000000000000000000000";   // 256

class Debuggers : public ::testing::Test {
 protected:
  RunOutput uarena(const BrokerProcess& broker, std::vector<std::string> words) {
    words.insert(words.begin(), {kUarena, "-s", broker.socket()});
    return run_command(words);
  }
  void load(const BrokerProcess& broker) {
    const auto loaded =
        uarena(broker, {"prog", "load", std::string(UARENA_BPF_DIR) + "/bench_htab.bpf.o"});
    ASSERT_EQ(loaded.exit_code(), 0) << loaded.err;
    ASSERT_EQ(uarena(broker, {"prog", "run", "prepare", "--ctx-in", kBuild}).exit_code(), 0);
  }
  TempDir dir_;
};

// A breakpoint needs the machine's own registers, since code can't be written, not even by gdb.
TEST_F(Debuggers, GdbStopsInAProgramAndWalksItsFrames) {
  BrokerProcess broker;
  load(broker);
  const std::string script = dir_.path() + "/script";
  std::ofstream(script) << "set pagination off\n"
                           "handle SIGSEGV SIGBUS nostop noprint pass\n"
                           "info symbol bpf_prog_run\n"
                           "hbreak bpf_prog_lookup\n"
                        << "shell " << kUarena << " -s " << broker.socket()
                        << " prog run run --ctx-in " << kBuild << " >" << dir_.path()
                        << "/answer 2>&1 &\n"
                        << "continue\n"
                           "backtrace\n"
                           "info line *$pc\n"
                           "delete\n"
                           "detach\n";
  const RunOutput gdb = run_command(
      {"/usr/bin/gdb", "-q", "-batch", "-p", std::to_string(broker.pid()), "-x", script});
  EXPECT_THAT(gdb.out, HasSubstr("bpf_prog_lookup () at ./tools/bench/works/htab.bpf.c:"))
      << gdb.err;
  EXPECT_THAT(gdb.out, HasSubstr("in bpf_prog_run () at ./tools/bench/works/htab.bpf.c:"));
  EXPECT_THAT(gdb.out, HasSubstr("in bpf_enter_run ()"));
  EXPECT_THAT(gdb.out, HasSubstr("uarena::broker::RunnerPool::work"));
  EXPECT_THAT(gdb.out, HasSubstr("of \"./tools/bench/works/htab.bpf.c\" starts at address"));
  // Nothing of it is left when gdb is gone, and what is unloaded is in no list.
  EXPECT_EQ(uarena(broker, {"prog", "run", "run", "--ctx-in", kBuild}).exit_code(), 0);
  EXPECT_EQ(uarena(broker, {"prog", "unload", "run"}).exit_code(), 0);
  const RunOutput again =
      run_command({"/usr/bin/gdb", "-q", "-batch", "-p", std::to_string(broker.pid()), "-ex",
                   "info symbol bpf_prog_lookup"});
  EXPECT_THAT(again.err, HasSubstr("No symbol \"bpf_prog_lookup\""));
  EXPECT_EQ(broker.stop(), 0);
}

TEST_F(Debuggers, PerfNamesFunctionsAndLines) {
  BrokerProcess broker({"--jitdump", dir_.path()});
  load(broker);
  const std::string data = dir_.path() + "/perf.data", with_code = dir_.path() + "/perf.jit.data";
  const std::string perf = "/usr/bin/perf";
  const RunOutput recorded = run_command({perf,
                                          "record",
                                          "-q",
                                          "-k",
                                          "mono",
                                          "-e",
                                          "cpu-clock",
                                          "-o",
                                          data,
                                          "-p",
                                          std::to_string(broker.pid()),
                                          "--",
                                          kUarena,
                                          "-s",
                                          broker.socket(),
                                          "prog",
                                          "run",
                                          "run",
                                          "--ctx-in",
                                          kLong});
  ASSERT_EQ(recorded.exit_code(), 0) << recorded.err;
  ASSERT_EQ(broker.stop(), 0);
  const RunOutput injected = run_command({perf, "inject", "--jit", "-i", data, "-o", with_code});
  ASSERT_EQ(injected.exit_code(), 0) << injected.err;
  const RunOutput report = run_command({perf, "report", "-i", with_code, "--stdio", "-q"});
  EXPECT_THAT(report.out, HasSubstr("bpf_prog_lookup"));
  EXPECT_THAT(report.out, HasSubstr("bpf_prog_run"));
  const RunOutput lines =
      run_command({perf, "annotate", "-i", with_code, "--stdio", "-l", "bpf_prog_lookup"});
  EXPECT_THAT(lines.out, HasSubstr("htab.bpf.c:3"));
}

TEST_F(Debuggers, ADumpThatCannotBeMadeIsSaid) {
  const RunOutput output = run_command({std::string(UARENA_BIN_DIR) + "/uarenad", "--socket",
                                        dir_.path() + "/s", "--jitdump", dir_.path() + "/missing"});
  EXPECT_EQ(output.exit_code(), 1);
  EXPECT_THAT(output.err, HasSubstr("missing/jit-"));
  EXPECT_THAT(output.err, HasSubstr("No such file or directory"));
}

}  // namespace
}  // namespace uarena::testing
