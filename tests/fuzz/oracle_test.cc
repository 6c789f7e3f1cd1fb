// The soundness fuzzer as a test: some programs of fixed seeds, everything that it ever found, and
// whether it would find a belief that is wrong at all.
#include "tests/fuzz/verifier/oracle.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/fuzz/verifier/check.h"
#include "tests/fuzz/verifier/generator.h"
#include "tests/fuzz/verifier/kernel_arm.h"
#include "tests/fuzz/verifier/text.h"
#include "tests/fuzz/verifier/world.h"
#include "tests/support/bpf_asm.h"
#include "tests/support/kernel_loader.h"

namespace uarena::fuzz {
namespace {

constexpr int kPrograms = 40;
constexpr int kRepairs = 12;

class VerifierFuzz : public ::testing::TestWithParam<uint64_t> {};

TEST_P(VerifierFuzz, AcceptedProgramsKeepToWhatWasBelieved) {
  Random random(GetParam());
  jit::Object object = make_world();
  unsigned accepted = 0;
  uint64_t insns = 0;
  for (int n = 0; n < kPrograms; ++n) {
    generate(random, object.programs[0]);
    Outcome outcome = check_program(object, GetParam() + 1);
    for (int tries = 0; tries < kRepairs && !outcome.accepted; ++tries) {
      repair(random, object.programs[0], outcome.rejected_at);
      outcome = check_program(object, GetParam() + 1);
    }
    ASSERT_EQ(outcome.finding, "") << to_text({object.programs[0], GetParam() + 1});
    accepted += outcome.accepted;
    insns += outcome.insns;
  }
  EXPECT_GT(accepted, 20u);
  EXPECT_GT(insns, 5000u);
}
INSTANTIATE_TEST_SUITE_P(Seeds, VerifierFuzz, ::testing::Range(uint64_t{100}, uint64_t{110}));

TEST(VerifierFuzzSeeds, WhatWasFoundOnceIsRight) {
  jit::Object object = make_world();
  unsigned seen = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(UARENA_SOURCE_DIR "/tests/fuzz/seeds/verifier")) {
    std::ifstream file(entry.path());
    const auto input = from_text(std::string{std::istreambuf_iterator<char>(file), {}});
    ASSERT_TRUE(input.has_value()) << entry.path();
    object.programs[0] = input->program;
    EXPECT_EQ(check_program(object, input->data).finding, "") << entry.path();
    ++seen;
  }
  EXPECT_GT(seen, 0u);
}

TEST(ProgramText, ComesBackTheSame) {
  Random random(7);
  Input input;
  input.program = make_world().programs[0];
  generate(random, input.program);
  input.data = 12;
  const auto again = from_text(to_text(input));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->program.insns, input.program.insns);
  EXPECT_EQ(to_text(*again), to_text(input));
  EXPECT_FALSE(from_text("sub fuzz 2\n0xb7 0 0 0 7\n").has_value());
}

// Passes states on after changing what is believed of R0.
class WrongBelief final : public jit::verifier::StateSink {
 public:
  explicit WrongBelief(StateRecord& to) : to_(to) {}
  void restart() override { to_.restart(); }
  void walk(size_t insn, const jit::verifier::State& state) override {
    jit::verifier::State changed = state;
    if (insn == 1)
      changed.regs()[0] = jit::verifier::Reg::scalar(jit::verifier::Scalar::constant(6));
    to_.walk(insn, changed);
  }

 private:
  StateRecord& to_;
};

TEST(SoundnessOracle, FindsAWrongBelief) {
  jit::Object object = make_world();
  object.programs[0].insns = test::assemble_or_die("r0 = 5\nexit\n");
  object.programs[0].subprogs = {{"fuzz", 0, 2, true, 1, {}}};
  for (const bool wrong : {false, true}) {
    StateRecord record;
    WrongBelief belief(record);
    jit::VerifierInput input;
    input.object = &object;
    input.functions = &world_functions();
    input.sink = wrong ? static_cast<jit::verifier::StateSink*>(&belief) : &record;
    const auto verified = jit::verify(input);
    ASSERT_TRUE(verified) << verified.error().error.message;
    Memory memory(jit::ProgramType::syscall, 1);
    WorldRun run(1);
    Oracle oracle(object, *verified, record, memory, run, 0);
    const auto program = jit::make_interpreter(jit::fix_up(*verified, memory.binding()), &oracle);
    program->run(memory.ctx(), run);
    if (wrong) {
      EXPECT_NE(oracle.finding().find("insn 1 (exit): in none of 1 states"), std::string::npos)
          << oracle.finding();
    } else {
      EXPECT_EQ(oracle.finding(), "");
    }
  }
}

// The kernel works on the same bytes, and what it has done to them is seen.
TEST(KernelArm, LeavesWhatTheProgramDid) {
  KernelArm* const kernel = KernelArm::instance();
  if (kernel == nullptr) GTEST_SKIP() << *testing::kernel_arena_unavailable();
  jit::Object object = make_world();
  object.programs[0].insns = test::assemble_or_die(
      "r2 = map[idx:1][0]+8\n"
      "r3 = *(u64 *)(r2 +0)\n"
      "r3 += 1\n"
      "*(u64 *)(r2 +0) = r3\n"
      "r4 = map[idx:0][0]+16\n"
      "r4 = addr_space_cast(r4, 0, 1)\n"
      "*(u32 *)(r4 +0) = 7\n"
      "*(u32 *)(r1 +4) = 9\n"
      "r0 = 5\n"
      "exit\n");
  object.programs[0].subprogs = {
      {"fuzz", 0, static_cast<uint32_t>(object.programs[0].insns.size()), true, 1, {}}};
  for (const uint64_t seed : {3, 4}) {
    Memory before(jit::ProgramType::syscall, seed), memory(jit::ProgramType::syscall, seed);
    const auto left = kernel->run(object, memory);
    ASSERT_TRUE(left);
    EXPECT_EQ(left->result, 5u);
    uint64_t was = 0, is = 0;
    std::memcpy(&was, before.map(kBss).value + 8, sizeof was);
    std::memcpy(&is, memory.map(kBss).value + 8, sizeof is);
    EXPECT_EQ(is, was + 1);
    EXPECT_EQ(memory.arena().read(jit::TestArena::kPresent + 16, 4), 7u);
    EXPECT_EQ(memory.ctx()[4], std::byte{9});
    EXPECT_EQ(left->visible, memory.visible());
    EXPECT_EQ(check_program(object, seed * 4).finding, "");  // the kernel is asked
  }
  object.programs[0].insns = test::assemble_or_die("r0 = r9\nexit\n");
  object.programs[0].subprogs = {{"fuzz", 0, 2, true, 1, {}}};
  Memory memory(jit::ProgramType::syscall, 1);
  EXPECT_FALSE(kernel->run(object, memory));
}

}  // namespace
}  // namespace uarena::fuzz
