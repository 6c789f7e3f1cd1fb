// Runs that are ended in the middle: at the head of a loop that counts turns, below a function that
// calls back, by a caller who is gone. All frames are left, what was held is released, and nothing
// of the program runs any more.
#include <gtest/gtest.h>

#include <chrono>

#include "jit/turns.h"
#include "tests/jit/exec/program_builder.h"

namespace uarena::jit {
namespace {

using std::chrono::steady_clock;

constexpr uint64_t kLimitNs = 20'000'000;

int g_released = 0;
int g_after = 0;
uint64_t g_rounds = 0;

// void hold(): something that the run has to give back.
uint64_t hold(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  EXPECT_TRUE(
      run->held.add(&g_released, [](void* what, RunContext*) { ++*static_cast<int*>(what); }));
  return 0;
}
const FunctionDesc kHold{.name = "hold", .function = hold};

// Must not be reached.
uint64_t after(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext*) { return ++g_after; }
const FunctionDesc kAfter{.name = "after", .function = after};

// u64 repeat(callback, u64 argument): calls back until the result is not 0 or the run has ended.
uint64_t repeat(uint64_t callback, uint64_t argument, uint64_t, uint64_t, uint64_t,
                RunContext* run) {
  uint64_t result = 0;
  while (result == 0 && take_turn(run)) {
    ++g_rounds;
    result = run->program->call_back(callback, {argument, 2, 3, 4, 5}, *run);
    if (run->ended) return 0;
  }
  return result;
}
const FunctionDesc kRepeat{.name = "repeat", .effect = Effect::calls_back, .function = repeat};

class EndedRun : public testing::TestWithParam<Mode> {
 protected:
  EndedRun() { g_released = g_after = 0, g_rounds = 0; }

  // `counts`: labels of loop heads.
  std::unique_ptr<Executable> program(std::string_view text, const std::vector<std::string>& counts,
                                      std::vector<const FunctionDesc*> functions = {}) {
    auto assembly = test::assemble(text);
    EXPECT_TRUE(assembly) << assembly.error().message;
    auto fixed =
        FixedProgramTestPeer::make(std::move(assembly->insns), nullptr, std::move(functions));
    for (const std::string& label : counts)
      FixedProgramTestPeer::count_at(&fixed, assembly->labels.at(label));
    return executable(std::move(fixed), GetParam());
  }

  // Runs until the limit; returns how long it took.
  steady_clock::duration run(const Executable& program, RunContext* context) {
    context->limit_ns = kLimitNs;
    const auto start = steady_clock::now();
    result_ = program.run({}, *context);
    return steady_clock::now() - start;
  }
  uint64_t result_ = 0;
};

TEST_P(EndedRun, AnEndlessLoopEndsAtItsHead) {
  const auto endless = program("r0 = 0\nagain:\nr0 += 1\ngoto again\n", {"again"});
  RunContext context;
  EXPECT_GE(run(*endless, &context), std::chrono::nanoseconds(kLimitNs));
  EXPECT_TRUE(context.ended);
  EXPECT_EQ(context.ended_at, 1U);
}

TEST_P(EndedRun, ALoopThatEndsInTimeIsLeftAlone) {
  // Every register is live across the slow path and must survive it.
  const auto loop = program(
      "r0 = 0\n"
      "r1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nr5 = 5\nr6 = 6\nr7 = 7\nr8 = 8\nr9 = 9\n"
      "again:\n"
      "r0 += 1\n"
      "if r0 < 200000 goto again\n"
      "r0 += r1\nr0 += r2\nr0 += r3\nr0 += r4\nr0 += r5\nr0 += r6\nr0 += r7\nr0 += r8\nr0 += r9\n"
      "exit\n",
      {"again"});
  RunContext context;
  EXPECT_EQ(loop->run({}, context), 200045U);
  EXPECT_FALSE(context.ended);
  EXPECT_NE(context.started_ns, 0U);  // the clock was read
}

TEST_P(EndedRun, ACancelledRunEndsSoon) {
  const auto endless = program("again:\ngoto again\n", {"again"});
  std::atomic<bool> cancelled{true};
  RunContext context;
  context.cancelled = &cancelled;
  const auto start = steady_clock::now();
  endless->run({}, context);
  EXPECT_TRUE(context.ended);
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(5));
}

TEST_P(EndedRun, AllFramesAreLeftAndWhatIsHeldIsReleased) {
  const auto nested = program(
      "r6 = 6\n"
      "call kfunc#0\n"
      "call middle\n"
      "call kfunc#1\n"
      "exit\n"
      "middle:\n"
      "r6 = 1\nr7 = 2\nr8 = 3\nr9 = 4\n"
      "*(u64 *)(r10 -512) = r6\n"
      "call kfunc#0\n"
      "call inner\n"
      "call kfunc#1\n"
      "exit\n"
      "inner:\n"
      "r8 = 0\n"
      "again:\n"
      "r8 += 1\n"
      "goto again\n",
      {"again"}, {&kHold, &kAfter});
  for (int n = 1; n <= 3; ++n) {  // the executable is as good as new afterwards
    RunContext context;
    run(*nested, &context);
    EXPECT_TRUE(context.ended);
    EXPECT_EQ(context.ended_at, 15U);
    EXPECT_EQ(context.held.count(), 0U);
    EXPECT_EQ(g_released, 2 * n);
  }
  EXPECT_EQ(g_after, 0);
}

constexpr const char* kCallsBack =
    "r6 = 6\n"
    "raw 0x18 1 4 0 8\nraw 0 0 0 0 0\n"  // r1 = the callback
    "r2 = 7\n"
    "call kfunc#2\n"
    "r6 += r0\n"
    "r1 = 0\n"
    "call kfunc#1\n"
    "r0 = r6\n"
    "exit\n"
    "callback:\n";  // instruction 10

TEST_P(EndedRun, CallbacksGetTheirArgumentsAndGiveAResult) {
  const auto once = program(std::string(kCallsBack).replace(0, 7, "r6 = 1\n") +

                                "r6 = 100\n"
                                "r0 = r1\nr0 += r2\nr0 += r3\nr0 += r4\nr0 += r5\n"
                                "exit\n",
                            {}, {&kHold, &kAfter, &kRepeat});
  RunContext context;
  EXPECT_EQ(once->run({}, context), 1U + 7 + 2 + 3 + 4 + 5);
  EXPECT_FALSE(context.ended);
  EXPECT_EQ(g_rounds, 1U);
  EXPECT_EQ(g_after, 1);
}

TEST_P(EndedRun, ACallbackThatEndsTheRunReturnsToItsFunctionAndLeaves) {
  const auto ends = program(std::string(kCallsBack) +
                                "call kfunc#0\n"
                                "again:\n"
                                "goto again\n",
                            {"again"}, {&kHold, &kAfter, &kRepeat});
  RunContext context;
  EXPECT_GE(run(*ends, &context), std::chrono::nanoseconds(kLimitNs));
  EXPECT_TRUE(context.ended);
  EXPECT_EQ(context.ended_at, 11U);
  EXPECT_EQ(g_rounds, 1U);
  EXPECT_EQ(g_released, 1);
  EXPECT_EQ(g_after, 0);
  EXPECT_EQ(context.leave_sp, nullptr);
}

TEST_P(EndedRun, AFunctionThatCallsBackForEverEndsWhereItWasCalled) {
  const auto ends =
      program(std::string(kCallsBack) + "r0 = 0\nexit\n", {}, {&kHold, &kAfter, &kRepeat});
  RunContext context;
  EXPECT_GE(run(*ends, &context), std::chrono::nanoseconds(kLimitNs));
  EXPECT_TRUE(context.ended);
  EXPECT_EQ(context.ended_at, 4U);
  EXPECT_GT(g_rounds, kTurns);
  EXPECT_EQ(g_after, 0);
}

TEST_P(EndedRun, CallbacksNest) {
  const auto ends = program(std::string(kCallsBack) +
                                "r7 = r1\n"
                                "raw 0x18 1 4 0 6\nraw 0 0 0 0 0\n"
                                "r2 = r7\n"
                                "call kfunc#2\n"
                                "call kfunc#1\n"
                                "r0 = 1\n"
                                "exit\n"
                                "call kfunc#0\n"  // the inner callback
                                "again:\n"
                                "goto again\n",
                            {"again"}, {&kHold, &kAfter, &kRepeat});
  RunContext context;
  run(*ends, &context);
  EXPECT_TRUE(context.ended);
  EXPECT_EQ(context.ended_at, 19U);
  EXPECT_EQ(g_rounds, 2U);
  EXPECT_EQ(g_released, 1);
  EXPECT_EQ(g_after, 0);
  EXPECT_EQ(context.frames, 0U);
}

// A frame with a may_goto and loops that use up the run's turns keeps its own 250 ms.
TEST_P(EndedRun, MayGotoKeepsItsTimeBesideCountedLoops) {
  const auto mixed = program(
      "r6 = 0\n"
      "again:\n"
      "may_goto done\n"
      "r7 = 0\n"
      "inner:\n"
      "r7 += 1\n"
      "if r7 < 20 goto inner\n"
      "r6 += 1\n"
      "goto again\n"
      "done:\n"
      "r0 = 77\n"
      "exit\n",
      {"inner"});
  RunContext context;
  const auto start = steady_clock::now();
  EXPECT_EQ(mixed->run({}, context), 77U);
  EXPECT_TRUE(context.may_goto_expired);
  EXPECT_FALSE(context.ended);
  EXPECT_GE(steady_clock::now() - start, std::chrono::milliseconds(250));
}

TEST_P(EndedRun, ItsPlaceIsNamedWithTheSource) {
  auto fixed = FixedProgramTestPeer::make(test::assemble_or_die("r0 = 0\nr0 += 1\nexit\n"));
  FixedProgramTestPeer::set_lines(&fixed, {{1, 40, 3, "find.bpf.c", "\twhile (p[n])"}});
  const auto made = executable(std::move(fixed), GetParam());
  EXPECT_EQ(made->place_of(0), "insn 0");
  EXPECT_EQ(made->place_of(2), "insn 2 (find.bpf.c:40: while (p[n]))");
}

TEST(Held, IsReleasedLatestFirstAndHasALastPlace) {
  Held held;
  std::vector<int> order;
  struct One {
    std::vector<int>* order;
    int number;
  };
  std::vector<One> ones;
  for (int n = 0; n < static_cast<int>(Held::kMost) + 1; ++n) ones.push_back({&order, n});
  const auto release = [](void* what, RunContext*) {
    auto* one = static_cast<One*>(what);
    one->order->push_back(one->number);
  };
  for (size_t n = 0; n + 1 < Held::kMost; ++n) ASSERT_TRUE(held.add(&ones[n], release));
  EXPECT_FALSE(held.add(&ones[Held::kMost], release));
  EXPECT_TRUE(held.add(&ones[Held::kMost], release, true));
  EXPECT_TRUE(held.remove(&ones[1]));
  EXPECT_FALSE(held.remove(&ones[1]));
  EXPECT_FALSE(held.holds(&ones[1]));
  EXPECT_TRUE(held.holds(&ones[2]));
  held.release_all(nullptr);
  EXPECT_EQ(order.size(), Held::kMost - 1);
  EXPECT_EQ(order.front(), static_cast<int>(Held::kMost));
  EXPECT_EQ(order.back(), 0);
}

INSTANTIATE_TEST_SUITE_P(Executors, EndedRun, testing::Values(Mode::interpret, Mode::compile),
                         [](const auto& param) {
                           return param.param == Mode::compile ? "Compiler" : "Interpreter";
                         });

}  // namespace
}  // namespace uarena::jit
