// Runs the text cases in cases/*.txt, one test each (tests/support/verifier_case.h says what a case
// is). What the live kernel says of the same programs is tests/parity/verifier_cases_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "jit/program.h"
#include "tests/support/case_world.h"
#include "tests/support/functions.h"

namespace uarena::jit {
namespace {

using test::VerifierCase;

struct Built {
  test::CaseObject made;
  CallTable functions;

  VerifierInput input() const {
    VerifierInput in;
    in.object = &made.object;
    in.functions = &functions;
    in.user_vm_start = test::kCaseArenaAddress;
    in.arena_size = test::kCaseArenaBytes;
    return in;
  }
};

Built build(const VerifierCase& c) {
  auto made = test::make_case_object(c);
  EXPECT_TRUE(made) << made.error().message;
  Built b{made ? std::move(*made) : test::CaseObject{}, {}};
  b.functions = test::all_functions(b.made.object);
  return b;
}

void expect_fact(const VerifiedProgram& program, size_t insn, const std::string& fact) {
  const InsnFacts& facts = program.facts()[insn];
  if (fact == "alu")
    EXPECT_TRUE(facts.arena_alu);
  else if (fact == "budget")
    EXPECT_TRUE(facts.budget);
  else if (fact == "dead")
    EXPECT_FALSE(facts.reached);
  else if (fact == "arena")
    EXPECT_EQ(facts.region, Region::arena);
  else if (fact == "stack")
    EXPECT_EQ(facts.region, Region::stack);
  else if (fact == "map")
    EXPECT_EQ(facts.region, Region::map_value);
  else if (fact == "ctx")
    EXPECT_EQ(facts.region, Region::ctx);
  else if (fact == "packet")
    EXPECT_EQ(facts.region, Region::packet);
  else if (fact == "memory")
    EXPECT_EQ(facts.region, Region::memory);
  else
    FAIL() << "unknown fact " << fact;
}

size_t subprog_called(const Object& object, const std::string& name) {
  const auto& subprogs = object.programs[0].subprogs;
  const auto found = std::ranges::find(subprogs, name, &Subprog::name);
  EXPECT_NE(found, subprogs.end()) << name;
  return found == subprogs.end() ? 0 : static_cast<size_t>(found - subprogs.begin());
}

void expect_finding(const VerifiedProgram& program, const Built& b,
                    const std::vector<std::string>& words) {
  if (words[0] == "ctx") {
    EXPECT_EQ(program.ctx_size(), std::stoul(words[1]));
  } else if (words[0] == "stack") {
    EXPECT_EQ(program.stack_bytes()[subprog_called(b.made.object, words[1])], std::stoul(words[2]));
  } else if (words[0] == "zeroed") {
    EXPECT_TRUE(program.zeroed_stack()[subprog_called(b.made.object, words[1])]);
  } else {
    ASSERT_TRUE(b.made.labels.contains(words[1])) << words[1];
    expect_fact(program, b.made.labels.at(words[1]), words[2]);
  }
}

// The last line says what to change.
bool ends_with_hint(const std::string& log) {
  const size_t last = log.rfind('\n', log.size() - 2);
  return last != std::string::npos && log.substr(last + 1).starts_with("hint: ") &&
         log.size() - last > 20;
}

void expect_rejection(const VerifierCase& c, const Rejection& why) {
  EXPECT_NE(why.error.message.find(c.message), std::string::npos) << why.error.message;
  EXPECT_EQ(strerrorname_np(why.error.code), c.error) << why.error.message;
  EXPECT_EQ(why.error.why, Why::rejected);
  EXPECT_TRUE(ends_with_hint(why.log)) << why.log;
  // The instruction and its source line.
  EXPECT_TRUE(why.error.message.starts_with("insn " + std::to_string(why.insn) + " ("))
      << why.error.message;
  EXPECT_NE(why.error.message.find(c.name + ".bpf.c:"), std::string::npos) << why.error.message;
}

class VerifierText : public testing::TestWithParam<VerifierCase> {};

TEST_P(VerifierText, Verdict) {
  const VerifierCase& c = GetParam();
  SCOPED_TRACE(c.file + ".txt:" + std::to_string(c.line));
  const Built b = build(c);
  ASSERT_EQ(b.made.object.programs.size(), 1u);
  VerifierInput input = b.input();
  if (c.limit) input.insn_limit = *c.limit;
  if (c.no_address) input.user_vm_start = 0;
  input.log_level = c.states.empty() ? 0 : 2;
  std::string log;
  const auto result = verify(input, &log);
  for (const test::StateExpectation& state : c.states)
    EXPECT_TRUE(test::log_says(log, b.made.insn_at(state.at), state.text))
        << "expected after " << state.at << ": " << state.text << "\n"
        << log;
  if (!c.accept) {
    ASSERT_FALSE(result) << "accepted";
    return expect_rejection(c, result.error());
  }
  ASSERT_TRUE(result) << result.error().error.message << "\n" << result.error().log;
  for (const auto& words : c.findings) expect_finding(*result, b, words);
}

INSTANTIATE_TEST_SUITE_P(Text, VerifierText, testing::ValuesIn(test::verifier_cases_or_die()),
                         [](const auto& param) {
                           return param.param.file + "_" + param.param.name;
                         });

// Eight full frames make large states, and a long loop without forks many of them.
TEST(VerifierLimits, MemoryForStates) {
  VerifierCase c;
  c.name = "large_states";
  for (int frame = 0; frame < 8; ++frame) {
    if (frame > 0) c.text += fmt::format("function f{}\n", frame);
    for (int slot = 1; slot <= 64; ++slot)
      c.text += fmt::format("*(u64 *)(r10 -{}) = {}\n", 8 * slot, slot);
    c.text += "r2 = r10\nr0 = 0\n";  // who takes the frame's address keeps it all
    if (frame < 7) c.text += fmt::format("call f{}\nexit\n", frame + 1);
  }
  c.text += "r6 = 0\nagain:\n";
  for (int n = 0; n < 800; ++n) {
    for (int m = 0; m < 7; ++m) c.text += "r0 = 1\n";
    c.text += "goto pc+0\n";
  }
  c.text += "r6 += 1\nif r6 == 1000000 goto end\ngotol again\nend:\nexit\n";
  const Built b = build(c);
  VerifierInput input = b.input();
  const auto result = verify(input);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error.code, E2BIG);
  EXPECT_NE(result.error().error.message.find("256 MiB"), std::string::npos)
      << result.error().error.message;
}

VerifierCase long_walk() {
  VerifierCase c;
  c.name = "long_walk";
  for (int n = 0; n < 1000; ++n) c.text += "r0 = 0\n";
  c.text += "exit\n";
  return c;
}

TEST(VerifierLimits, Time) {
  const Built b = build(long_walk());
  VerifierInput input = b.input();
  input.deadline = std::chrono::steady_clock::now();
  const auto result = verify(input);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error.code, E2BIG);
  EXPECT_NE(result.error().error.message.find("in the time that a load may take"),
            std::string::npos)
      << result.error().error.message;
}

TEST(VerifierLimits, NobodyWaits) {
  const Built b = build(long_walk());
  const std::atomic<bool> cancelled{true};
  VerifierInput input = b.input();
  input.cancelled = &cancelled;
  const auto result = verify(input);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error.code, ECANCELED) << result.error().error.message;
}

TEST(VerifierProgram, SectionIsKnown) {
  VerifierCase c;
  c.name = "section";
  c.text = "r0 = 0\nexit\n";
  Built b = build(c);
  b.made.object.programs[0].section = "kprobe";
  const auto result = verify(b.input());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error.code, EINVAL);
  EXPECT_NE(result.error().error.message.find("is in section \"kprobe\"; supported are syscall"),
            std::string::npos)
      << result.error().error.message;
}

TEST(VerifierProgram, HasInstructions) {
  VerifierCase c;
  c.name = "nothing";
  c.text = "exit\n";
  Built b = build(c);
  b.made.object.programs[0].insns.clear();
  const auto result = verify(b.input());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error.code, EINVAL);
  EXPECT_NE(result.error().error.message.find("no instructions"), std::string::npos)
      << result.error().error.message;
}

TEST(VerifierCases, AreMany) { EXPECT_GE(test::verifier_cases_or_die().size(), 500u); }

}  // namespace
}  // namespace uarena::jit
