// Whole programs: may_goto, calls with their registers, frames and alignment, dumps, and many
// threads that fault while programs come and go.
#include "jit/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/jit/exec/program_builder.h"
#include "tests/jit/exec/test_arena.h"

namespace uarena::jit {
namespace {

using testing::HasSubstr;

class Engine : public testing::TestWithParam<Mode> {
 protected:
  std::unique_ptr<Executable> program(std::string_view text, const ArenaView* arena = nullptr,
                                      std::vector<const FunctionDesc*> functions = {}) {
    return executable(
        FixedProgramTestPeer::make(test::assemble_or_die(text), arena, std::move(functions)),
        GetParam());
  }
};

TEST_P(Engine, MayGotoEndsAnEndlessLoop) {
  // Every register is live across the slow path and must survive it.
  const auto endless = program(
      "r0 = 0\n"
      "r1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nr5 = 5\nr6 = 6\nr7 = 7\nr8 = 8\nr9 = 9\n"
      "again:\n"
      "may_goto done\n"
      "r0 += 1\n"
      "goto again\n"
      "done:\n"
      "r0 = 0\n"
      "r0 += r1\nr0 += r2\nr0 += r3\nr0 += r4\nr0 += r5\nr0 += r6\nr0 += r7\nr0 += r8\nr0 += r9\n"
      "exit\n");
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome = run_once(*endless);
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(outcome, (Outcome{45, 0, true}));
  EXPECT_GE(took, std::chrono::milliseconds(200));
}

TEST_P(Engine, MayGotoLetsAShortLoopFinish) {
  const auto loop = program(
      "r0 = 0\n"
      "again:\n"
      "may_goto done\n"
      "r0 += 1\n"
      "if r0 < 200000 goto again\n"
      "done:\n"
      "exit\n");
  EXPECT_EQ(run_once(*loop), (Outcome{200000, 0, false}));
}

// Loops around calls of functions with loops: each would have its own 250 ms, and the outer ones
// would look at the clock after 65,535 rounds of the inner ones.
TEST_P(Engine, MayGotosOfARunEndTogether) {
  const auto nested = program(
      "r6 = 6\n"
      "again:\n"
      "may_goto done\n"
      "call middle\n"
      "goto again\n"
      "done:\n"
      "r0 = r6\n"
      "exit\n"
      "middle:\n"
      "may_goto end\n"
      "call inner\n"
      "goto pc-3\n"
      "end:\n"
      "r0 = 0\n"
      "exit\n"
      "inner:\n"  // ends by itself before its count does
      "r1 = 1000\n"
      "may_goto pc+2\n"
      "r1 += -1\n"
      "if r1 != 0 goto pc-3\n"
      "r0 = 0\n"
      "exit\n");
  RunContext context;
  context.limit_ns = 20'000'000;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(nested->run({}, context), 6u);
  EXPECT_TRUE(context.may_goto_expired);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(20));
}

// The way out of a may_goto may lead back to it, and then nothing but the end of the run ends it.
TEST_P(Engine, MayGotosThatLeadBackEndTheRun) {
  const auto circle = program(
      "r1 = 1\n"
      "again:\n"
      "may_goto out\n"
      "r3 = 1\n"
      "out:\n"
      "if r1 != 5 goto again\n"
      "r0 = 0\n"
      "exit\n");
  RunContext context;
  context.limit_ns = 1'000'000;
  circle->run({}, context);
  EXPECT_TRUE(context.ended);
  EXPECT_EQ(context.ended_at, 1U);
}

// Somebody else says that nobody waits for the run.
TEST_P(Engine, ACancelledRunEndsItsLoops) {
  const auto endless = program("again:\nmay_goto done\ngoto again\ndone:\nr0 = 7\nexit\n");
  std::atomic<bool> cancelled{true};
  RunContext context;
  context.cancelled = &cancelled;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(endless->run({}, context), 7u);
  EXPECT_TRUE(context.may_goto_expired);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(200));
}

TEST_P(Engine, EveryFrameHasItsOwnStackAndRegisters) {
  const auto nested = program(
      "r6 = 100\n"
      "*(u64 *)(r10 -8) = r6\n"
      "*(u64 *)(r10 -512) = r6\n"
      "r1 = 5\n"
      "call sum\n"
      "r1 = *(u64 *)(r10 -8)\n"
      "r2 = *(u64 *)(r10 -512)\n"
      "r0 += r6\n"
      "r0 += r1\n"
      "r0 += r2\n"
      "exit\n"
      "sum:\n"  // 1 + … + r1, recursively
      "r6 = r1\n"
      "*(u64 *)(r10 -8) = r1\n"
      "*(u64 *)(r10 -512) = r1\n"
      "if r1 == 0 goto none\n"
      "r1 += -1\n"
      "call sum\n"
      "r1 = *(u64 *)(r10 -512)\n"
      "if r1 != r6 goto none\n"
      "r0 += r1\n"
      "exit\n"
      "none:\n"
      "r0 = 0\n"
      "exit\n");
  EXPECT_EQ(run_once(*nested).result, 15U + 300U);
}

// Where the verifier has found that a subprogram may read stack that it has not written.
TEST_P(Engine, AStackIsZeroedWhereItMayBeRead) {
  for (const uint32_t stack : {8U, 16U, 40U, 512U}) {
    auto fixed =
        FixedProgramTestPeer::make(test::assemble_or_die(fmt::format("r6 = -1\n"
                                                                     "*(u64 *)(r10 -{0}) = r6\n"
                                                                     "*(u64 *)(r10 -8) = r6\n"
                                                                     "call f\n"
                                                                     "call f\n"
                                                                     "r0 += r6\n"
                                                                     "exit\n"
                                                                     "f:\n"
                                                                     "r0 = *(u64 *)(r10 -{0})\n"
                                                                     "r1 = *(u64 *)(r10 -8)\n"
                                                                     "r0 |= r1\n"
                                                                     "r1 = -1\n"
                                                                     "*(u64 *)(r10 -{0}) = r1\n"
                                                                     "*(u64 *)(r10 -8) = r1\n"
                                                                     "exit\n",
                                                                     stack)));
    for (const size_t n : {0, 1}) FixedProgramTestPeer::set_stack(&fixed, n, stack);
    FixedProgramTestPeer::set_zero_stack(&fixed, 1);
    EXPECT_EQ(run_once(*executable(std::move(fixed), GetParam())).result, ~uint64_t{0}) << stack;
  }
}

std::atomic<bool> g_aligned{true};

// What C code may rely on, and what it may destroy.
uint64_t strict(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, RunContext* run) {
  if (reinterpret_cast<uint64_t>(__builtin_frame_address(0)) % 16 != 0) g_aligned = false;
  const uint64_t result = r1 + 10 * r2 + 100 * r3 + 1000 * r4 + 10000 * r5;
  run->faults.fetch_add(1);
  asm volatile(
      "mov $-1, %%rcx\n mov $-1, %%rdx\n mov $-1, %%rsi\n mov $-1, %%rdi\n"
      "mov $-1, %%r8\n mov $-1, %%r9\n mov $-1, %%r10\n mov $-1, %%r11\n" ::
          : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11");

  return result;
}
const FunctionDesc kStrict{.name = "strict", .function = strict};

// A frame that may be read before it is written holds nothing of what was there before.
TEST_P(Engine, AZeroedFrameIsZero) {
  for (const unsigned bytes : {8U, 16U, 24U, 504U, 512U}) {
    std::string text = "call pc+2\ncall pc+" + std::to_string(bytes / 8 + 3) + "\nexit\n";
    for (unsigned off = 8; off <= bytes; off += 8)
      text += fmt::format("*(u64 *)(r10 -{}) = -1\n", off);
    text += "r0 = 0\nexit\nr0 = 0\n";
    for (unsigned off = 8; off <= bytes; off += 8)
      text += fmt::format("r2 = *(u64 *)(r10 -{})\nr0 |= r2\n", off);
    text += "exit\n";
    auto program = FixedProgramTestPeer::make(test::assemble_or_die(text));
    FixedProgramTestPeer::set_stack(&program, 1, bytes);
    FixedProgramTestPeer::set_stack(&program, 2, bytes);
    FixedProgramTestPeer::set_zero_stack(&program, 2);
    EXPECT_EQ(run_once(*executable(std::move(program), GetParam())).result, 0U) << bytes;
  }
}

TEST_P(Engine, KfuncsGetTheirArgumentsAnAlignedStackAndTheRun) {
  // 0..4 callee-saved registers and odd stack sizes: every parity of the frame.
  for (const uint32_t stack : {0U, 8U, 16U, 24U, 512U}) {
    for (int saved = 0; saved <= 4; ++saved) {
      std::string text;
      for (int n = 0; n < saved; ++n) text += fmt::format("r{} = {}\n", 6 + n, 1000000 * (n + 1));
      for (int call = 0; call < 2; ++call) {
        text += "r1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nr5 = 5\nraw 0x85 0 2 0 0\n";
      }
      for (int n = 0; n < saved; ++n) text += fmt::format("r0 += r{}\n", 6 + n);
      text += "exit\n";
      auto fixed = FixedProgramTestPeer::make(test::assemble_or_die(text), nullptr, {&kStrict});
      FixedProgramTestPeer::set_stack(&fixed, 0, stack);
      const Outcome outcome = run_once(*executable(std::move(fixed), GetParam()));
      const uint64_t sum = 1000000ULL * static_cast<uint64_t>(saved * (saved + 1) / 2);
      EXPECT_EQ(outcome, (Outcome{54321 + sum, 2, false})) << stack << " " << saved;
    }
  }
  EXPECT_TRUE(g_aligned.load());
}

TEST_P(Engine, ContextIsReadAndWritten) {
  const auto swap = program(
      "r2 = *(u32 *)(r1 +0)\n"
      "r0 = *(u32 *)(r1 +4)\n"
      "*(u32 *)(r1 +4) = r2\n"
      "exit\n");
  uint32_t ctx[2] = {7, 9};
  EXPECT_EQ(run_once(*swap, std::as_writable_bytes(std::span(ctx))).result, 9U);
  EXPECT_EQ(ctx[1], 7U);
}

TEST_P(Engine, FarJumpsInBothDirections) {
  // More than 127 bytes, and more than 32 KiB with gotol.
  std::string text = "r0 = 0\ngotol over\nback:\nexit\n";
  for (int n = 0; n < 20000; ++n) text += "r0 += 1\n";
  text += "over:\nr0 += 5\ngotol back\n";
  EXPECT_EQ(run_once(*program(text)).result, 5U);
}

TEST_P(Engine, DumpsShowInstructionsAndSource) {
  auto fixed = FixedProgramTestPeer::make(
      test::assemble_or_die("r0 = 7\nif r1 == 0 goto out\nr0 += 1\nout:\nexit\n"));
  FixedProgramTestPeer::set_lines(
      &fixed, {{0, 12, 3, "list.bpf.c", "int answer = 7;"}, {2, 13, 5, "list.bpf.c", "answer++;"}});
  const auto dumped = executable(std::move(fixed), GetParam());
  EXPECT_EQ(dumped->dump_xlated(),
            "f0:\n"
            "; list.bpf.c:12 int answer = 7;\n"
            "   0: (b7) r0 = 7\n"
            "   1: (15) if r1 == 0 goto pc+1\n"
            "; list.bpf.c:13 answer++;\n"
            "   2: (07) r0 += 1\n"
            "   3: (95) exit\n");
  if (GetParam() == Mode::interpret) {
    EXPECT_EQ(dumped->dump_jited(), "");
    EXPECT_EQ(dumped->code_bytes(), 0U);
    return;
  }
  EXPECT_GT(dumped->code_bytes(), 0U);
  EXPECT_THAT(dumped->dump_jited(), HasSubstr("f0:\n; list.bpf.c:12 int answer = 7;\n"));
  EXPECT_THAT(dumped->dump_jited(), HasSubstr("; list.bpf.c:13 answer++;\n"));
  EXPECT_THAT(dumped->dump_jited(), HasSubstr("mov eax, 0x07"));
  EXPECT_THAT(dumped->dump_jited(), testing::Not(HasSubstr("(bad)")));
}

// Threads that fault all the time while other programs, which fault as well, come and go: the
// exception table is replaced under the handlers, and code is freed next to code that runs.
TEST_P(Engine, FaultsWhileProgramsComeAndGo) {
  const TestArena arena;
  const auto text = fmt::format(
      "r1 = {:#x} ll\n"
      "r2 = 77\n"
      "raw {:#x} 2 1 0 0\n"  // absent: r2 = 0
      "r3 = {:#x} ll\n"
      "raw {:#x} 4 3 0 0\n"  // present
      "r0 = r2\n"
      "r0 += r4\n"
      "exit\n",
      static_cast<uint32_t>(TestArena::kUnmapped), kLdx | kProbeMem32 | kDw,
      static_cast<uint32_t>(TestArena::kPresent), kLdx | kProbeMem32 | kB);
  const Outcome expected{arena.read(TestArena::kPresent, 1), 1, false};
  const auto shared = program(text, &arena.view());
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> wrong{0};
  std::atomic<uint64_t> runs{0};
  std::vector<std::jthread> threads;
  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([&] {
      while (!stop.load()) {
        if (run_once(*shared, {}, &arena.view()) != expected) ++wrong;
        ++runs;
      }
    });
  }
  threads.emplace_back([&] {
    while (!stop.load()) {
      if (run_once(*program(text, &arena.view()), {}, &arena.view()) != expected) ++wrong;
    }
  });
  for (int n = 0; n < 300 || runs.load() < 1000; ++n) {
    if (run_once(*program(text, &arena.view()), {}, &arena.view()) != expected) ++wrong;
  }
  stop = true;
  threads.clear();
  EXPECT_EQ(wrong.load(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Executors, Engine, testing::Values(Mode::interpret, Mode::compile),
                         [](const auto& param) {
                           return param.param == Mode::compile ? "Compiler" : "Interpreter";
                         });

}  // namespace
}  // namespace uarena::jit
