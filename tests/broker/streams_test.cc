// A program's stdout and stderr: what it writes, and what is reported there: accesses to absent
// pages, once for each place, and time that ran out.
#include <gtest/gtest.h>

#include "broker/program_registry.h"
#include "jit/engine.h"
#include "tests/bpf/contexts.h"
#include "tests/support/bpf_objects.h"

namespace uarena::broker {
namespace {

using testing::read_bpf_object;

class Streams : public ::testing::TestWithParam<jit::Mode> {
 protected:
  Streams() {
    EXPECT_TRUE(jit::install_fault_handler());
    LoadRequest request;
    request.object_name = "streams";
    request.mode = GetParam();
    auto loaded = programs_.load(read_bpf_object("streams"), request, account_);
    EXPECT_TRUE(loaded) << loaded.error().error.message;
    loaded_ = std::move(*loaded);
  }

  const Program& program(std::string_view name) const {
    for (const auto& one : loaded_.programs)
      if (one->name == name) return *one;
    throw std::out_of_range("no such program");
  }
  template <typename Context>
  Result<RunResult> run(std::string_view name, Context& context, uint64_t limit_ns = kRunLimitNs) {
    return run_program(program(name), std::as_writable_bytes(std::span(&context, 1)), 1, never_,
                       limit_ns, &caller_);
  }
  std::string err(std::string_view name) const { return stderr_of(program(name)).text; }
  uint64_t user_vm_start() const { return loaded_.object->arena->user_vm_start(); }

  Account account_{0};
  ArenaRegistry arenas_;
  ProgramRegistry programs_{arenas_};
  LoadOutcome loaded_;
  jit::Caller caller_{.pid = 42, .uid = 7, .gid = 7, .comm = "tester"};
  std::atomic<bool> never_{false};
};

// Lines with what differs from run to run left out.
std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.starts_with("CPU: ")) line.replace(0, line.find(" UID"), "CPU: N");
    lines.push_back(line);
    at = end + 1;
  }
  return lines;
}

TEST_P(Streams, AreWhatTheProgramWrites) {
  loop_ctx ctx{3, 0};
  const auto result = run("hello", ctx);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->r0, 0u);
  EXPECT_EQ(static_cast<int64_t>(ctx.turns), -ENOENT);
  EXPECT_EQ(program("hello").out.content().text, "hello world, 3 times\n");
  EXPECT_EQ(err("hello"), "to be seen\n");
  EXPECT_EQ(program("hello").log.content().text, "");
}

TEST_P(Streams, HoldTheLatestAndCountTheRest) {
  loop_ctx ctx{3, 0};
  for (int n = 0; n < 5000; ++n) ASSERT_TRUE(run("hello", ctx));
  const auto content = program("hello").out.content();
  EXPECT_LE(content.text.size(), jit::TraceLog::kMostBytes);
  EXPECT_GT(content.text.size(), jit::TraceLog::kMostBytes - 100);
  EXPECT_EQ(content.end, 5000u * 21);
  EXPECT_GT(content.dropped, 0u);
}

TEST_P(Streams, AbsentPagesAreReportedWithTheirPlaces) {
  cast_ctx ctx{user_vm_start() + 8192, 0, 0};
  ASSERT_TRUE(run("absent", ctx));
  const auto lines = lines_of(err("absent"));
  ASSERT_EQ(lines.size(), 11u) << err("absent");
  EXPECT_EQ(lines[0], fmt::format("ERROR: Arena READ access at unmapped address 0x{:x}",
                                  user_vm_start() + 8192));
  EXPECT_EQ(lines[1], "CPU: N UID: 7 PID: 42 Comm: tester");
  EXPECT_EQ(lines[2], "Call trace:");
  EXPECT_NE(lines[3].find("{ return *at; }"), std::string::npos) << lines[3];
  EXPECT_NE(lines[4].find("first = peek(at)"), std::string::npos) << lines[4];
  EXPECT_NE(lines[5].find("peek_twice(at);"), std::string::npos) << lines[5];
  EXPECT_EQ(lines[6], fmt::format("2 times there, the last at 0x{:x}", user_vm_start() + 8192 + 8));
  EXPECT_EQ(lines[7], fmt::format("ERROR: Arena WRITE access at unmapped address 0x{:x}",
                                  user_vm_start() + 8192 + 16));
  EXPECT_EQ(lines[8], "CPU: N UID: 7 PID: 42 Comm: tester");
  EXPECT_EQ(lines[9], "Call trace:");
}

TEST_P(Streams, APlaceIsToldOnceAndThenCounted) {
  cast_ctx ctx{user_vm_start() + 8192, 0, 0};
  ASSERT_TRUE(run("absent", ctx));
  const std::string before = err("absent");
  EXPECT_EQ(err("absent"), before);  // nothing new
  for (int n = 0; n < 3; ++n) ASSERT_TRUE(run("absent", ctx));
  const std::string after = err("absent");
  ASSERT_TRUE(after.starts_with(before));
  const auto lines = lines_of(after.substr(before.size()));
  ASSERT_EQ(lines.size(), 2u) << after;
  EXPECT_TRUE(lines[0].starts_with("again 6 times: Arena READ access at insn ")) << lines[0];
  EXPECT_TRUE(lines[1].starts_with("again 3 times: Arena WRITE access at insn ")) << lines[1];
}

TEST_P(Streams, TimeThatRanOutIsReported) {
  loop_ctx ctx{0, 0};
  EXPECT_EQ(run("for_ever", ctx, 20'000'000).error().code, ETIMEDOUT);
  auto lines = lines_of(err("for_ever"));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(lines[0].starts_with("ERROR: Timeout detected for a loop: ended at insn "));
  EXPECT_EQ(lines[1], "CPU: N UID: 7 PID: 42 Comm: tester");
  EXPECT_TRUE(run("too_long", ctx));
  lines = lines_of(err("too_long"));
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0], "ERROR: Timeout detected for may_goto instruction");
  EXPECT_EQ(lines[2], "Call trace:");
  EXPECT_TRUE(lines[3].starts_with("  insn ")) << lines[3];
  EXPECT_NE(lines[3].find("while (can_loop) ctx->turns++;"), std::string::npos) << lines[3];
}

INSTANTIATE_TEST_SUITE_P(Executors, Streams,
                         ::testing::Values(jit::Mode::compile, jit::Mode::interpret),
                         [](const auto& param) {
                           return param.param == jit::Mode::compile ? "Compiler" : "Interpreter";
                         });

}  // namespace
}  // namespace uarena::broker
