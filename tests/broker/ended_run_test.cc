// A run that does not end by itself, as its caller and its arena see it. The program comes straight
// from instructions; which loops are counted is the verifier's business.
#include <gtest/gtest.h>

#include <thread>

#include "broker/program.h"
#include "jit/fault_safe.h"
#include "tests/jit/exec/program_builder.h"

namespace uarena::broker {
namespace {

constexpr uint64_t kLimitNs = 20'000'000;

class EndedRun : public ::testing::TestWithParam<jit::Mode> {
 protected:
  EndedRun() {
    const ArenaAttr attr{kBpfMapTypeArena, 0, 0, 4, kBpfFMmapable, 0};
    auto arena = arenas_.create("heap", attr, account_);
    EXPECT_TRUE(arena) << arena.error().message;
    // Counts the turns of a loop in the arena's first word, until the word before it is not 0.
    const auto counter = static_cast<uint32_t>((*arena)->user_vm_start()) + 8;
    auto fixed = jit::FixedProgramTestPeer::make(
        test::assemble_or_die(fmt::format("w1 = {}\n"
                                          "r2 = 1\n"
                                          "again:\n"
                                          "r0 = *(u64 __arena *)(r1 -8)\n"
                                          "lock *(u64 __arena *)(r1 +0) += r2\n"
                                          "if r0 == 0 goto again\n"
                                          "exit\n",
                                          counter)),
        &(*arena)->view());
    jit::FixedProgramTestPeer::count_at(&fixed, 2);
    jit::FixedProgramTestPeer::set_lines(&fixed, {{2, 7, 3, "wait.bpf.c", "  while (!*flag)"}});
    program_.id = 5;
    program_.name = "wait";
    program_.object = std::make_shared<ObjectState>();
    program_.object->arena = *arena;
    auto made = jit::make_executable(std::move(fixed), GetParam());
    EXPECT_TRUE(made);
    program_.executable = std::move(*made);
    EXPECT_NE((*arena)->alloc_pages(0, 1, -1, 0, Origin::program), 0U);
  }

  Arena& arena() { return *program_.object->arena; }

  Account account_{1000};
  ArenaRegistry arenas_;
  Program program_;
  std::atomic<bool> gone_{false};
};

TEST_P(EndedRun, IsAnErrorThatNamesThePlaceAndAMarkOnTheArena) {
  const auto answer = run_program(program_, {}, 3, gone_, kLimitNs);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ETIMEDOUT);
  EXPECT_EQ(answer.error().message,
            "program wait ran for 0.02 s and was ended at insn 2 (wait.bpf.c:7: while (!*flag))");
  EXPECT_EQ(program_.run_cnt, 1U);  // the other repetitions were not begun
  EXPECT_EQ(program_.ended_cnt, 1U);
  EXPECT_GE(program_.run_time_ns, kLimitNs);
  const CutOffRuns runs = arena().cut_off_runs();
  EXPECT_EQ(runs.count, 1U);
  EXPECT_EQ(runs.why, CutOff::limit);
  EXPECT_EQ(runs.program_id, 5U);
  EXPECT_EQ(runs.program, "wait");
  EXPECT_NE(runs.when_ns, 0U);
}

TEST_P(EndedRun, OfAClientThatIsGoneIsMarkedToo) {
  std::jthread leaves([&] {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    uint64_t turns = 0;
    while (turns == 0 && std::chrono::steady_clock::now() < end) {
      const auto bytes = arena().read(8, 8);
      std::memcpy(&turns, bytes->data(), 8);
    }
    gone_ = true;
  });
  const auto answer = run_program(program_, {}, 1, gone_);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ECANCELED);
  EXPECT_NE(answer.error().message.find("insn 2 (wait.bpf.c:7"), std::string::npos);
  EXPECT_EQ(arena().cut_off_runs().why, CutOff::gone);
  EXPECT_EQ(program_.ended_cnt, 1U);
}

TEST_P(EndedRun, IsNotOneThatFindsItsFlagInTime) {
  const uint64_t flag = 1;
  ASSERT_EQ(jit::copy_to_arena(arena().view(), arena().user_vm_start(), &flag, 8), 8U);
  const auto answer = run_program(program_, {}, 2, gone_, kLimitNs);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->r0, 1U);
  EXPECT_EQ(program_.ended_cnt, 0U);
  EXPECT_EQ(arena().cut_off_runs().count, 0U);
}

INSTANTIATE_TEST_SUITE_P(Executors, EndedRun,
                         ::testing::Values(jit::Mode::interpret, jit::Mode::compile),
                         [](const auto& param) {
                           return param.param == jit::Mode::compile ? "Compiler" : "Interpreter";
                         });

}  // namespace
}  // namespace uarena::broker
