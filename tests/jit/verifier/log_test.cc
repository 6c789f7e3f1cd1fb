// The verifier's log reads like the kernel's: what is at each level, and how a state is written.
#include <gtest/gtest.h>

#include <algorithm>

#include "jit/program.h"
#include "jit/verifier/advice.h"
#include "tests/support/case_world.h"
#include "tests/support/functions.h"

namespace uarena::jit {
namespace {

struct Verified {
  std::string log;
  bool accepted = false;
};

Verified verified(const std::string& text, int level) {
  test::VerifierCase c;
  c.name = "prog";
  c.text = text;
  const auto made = test::make_case_object(c);
  EXPECT_TRUE(made) << made.error().message;
  if (!made) return {};
  const CallTable functions = test::all_functions(made->object);
  VerifierInput input;
  input.object = &made->object;
  input.functions = &functions;
  input.user_vm_start = test::kCaseArenaAddress;
  input.arena_size = test::kCaseArenaBytes;
  input.log_level = level;
  Verified out;
  const auto result = verify(input, &out.log);
  out.accepted = result.has_value();
  if (!result) out.log = result.error().log;
  return out;
}

constexpr const char* kTwoWays = R"(r2 = *(u64 *)(r1 +0)
r0 = 0
if r2 > 7 goto end
*(u64 *)(r10 -8) = r2
r3 = map[.bss][0]+0
r3 += r2
r0 = *(u8 *)(r3 +0)
end:
exit
)";

TEST(VerifierLog, LevelTwoIsEverything) {
  const Verified v = verified(kTwoWays, 2);
  EXPECT_TRUE(v.accepted);
  EXPECT_EQ(v.log,
            R"(0: R1=ctx() R10=fp0
; r2 = *(u64 *)(r1 +0) @ prog.bpf.c:2
0: (79) r2 = *(u64 *)(r1 +0)          ; R1=ctx() R2=scalar()
; r0 = 0 @ prog.bpf.c:3
1: (b7) r0 = 0                        ; R0=0
; if r2 > 7 goto end @ prog.bpf.c:4
2: (25) if r2 > 0x7 goto pc+5         ; R2=scalar(smin=smin32=0,smax=umax=smax32=umax32=7,var_off=(0x0; 0x7))
; *(u64 *)(r10 -8) = r2 @ prog.bpf.c:5
3: (7b) *(u64 *)(r10 -8) = r2         ; R2=scalar(id=1,smin=smin32=0,smax=umax=smax32=umax32=7,var_off=(0x0; 0x7)) R10=fp0 fp-8=scalar(id=1,smin=smin32=0,smax=umax=smax32=umax32=7,var_off=(0x0; 0x7))
; r3 = map[.bss][0]+0 @ prog.bpf.c:6
4: (18) r3 = map[.bss][0]+0           ; R3=map_value(map=.bss,ks=4,vs=64)
; r3 += r2 @ prog.bpf.c:7
6: (0f) r3 += r2                      ; R2=scalar(id=1,smin=smin32=0,smax=umax=smax32=umax32=7,var_off=(0x0; 0x7)) R3=map_value(map=.bss,ks=4,vs=64,smin=smin32=0,smax=umax=smax32=umax32=7,var_off=(0x0; 0x7))
; r0 = *(u8 *)(r3 +0) @ prog.bpf.c:8
7: (71) r0 = *(u8 *)(r3 +0)           ; R0=scalar(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff)) R3=map_value(map=.bss,ks=4,vs=64,smin=smin32=0,smax=umax=smax32=umax32=7,var_off=(0x0; 0x7))
; exit @ prog.bpf.c:10
8: (95) exit

from 2 to 8: R0=0 R1=ctx() R2=scalar(umin=8) R10=fp0
; exit @ prog.bpf.c:10
8: (95) exit
processed 9 insns (limit 1000000) max_states_per_insn 1 total_states 1 peak_states 1
)");
}

TEST(VerifierLog, LevelOneOfAnAcceptedProgramIsItsFigures) {
  const Verified v = verified(kTwoWays, 1);
  EXPECT_TRUE(v.accepted);
  EXPECT_TRUE(v.log.starts_with("processed 9 insns (limit 1000000) max_states_per_insn ")) << v.log;
  EXPECT_EQ(std::ranges::count(v.log, '\n'), 1);
}

constexpr const char* kFaulty = R"(r2 = *(u64 *)(r1 +0)
if r2 == 0 goto other
r0 = 0
exit
other:
r0 = *(u64 *)(r2 +0)
exit
)";

// The way that was walked first is accepted and not in the way.
TEST(VerifierLog, LevelOneIsThePathToTheFault) {
  const Verified v = verified(kFaulty, 1);
  EXPECT_FALSE(v.accepted);
  EXPECT_EQ(v.log,
            R"(0: R1=ctx() R10=fp0
; r2 = *(u64 *)(r1 +0) @ prog.bpf.c:2
0: (79) r2 = *(u64 *)(r1 +0)          ; R1=ctx() R2=scalar()
; if r2 == 0 goto other @ prog.bpf.c:3
1: (15) if r2 == 0x0 goto pc+2

from 1 to 4: R1=ctx() R2=0 R10=fp0
; r0 = *(u64 *)(r2 +0) @ prog.bpf.c:7
4: (79) r0 = *(u64 *)(r2 +0)
R2 invalid mem access 'scalar'
processed 5 insns (limit 1000000) max_states_per_insn 1 total_states 1 peak_states 1
hint: )" + std::string(verifier::advice_for("R2 invalid mem access 'scalar'")) +
                "\n");
}

// Without a level, a rejection still shows where the program went.
TEST(VerifierLog, LevelZeroOfARejectionShowsTheWay) {
  const Verified v = verified(kFaulty, 0);
  EXPECT_FALSE(v.accepted);
  EXPECT_NE(v.log.find("path of 3 instructions:\n"), std::string::npos) << v.log;
  EXPECT_NE(v.log.find("; r0 = *(u64 *)(r2 +0) @ prog.bpf.c:7\n4: (79) r0 = *(u64 *)(r2 +0)\n"
                       "4: R2=0 R10=fp0\nR2 invalid mem access 'scalar'\n"),
            std::string::npos)
      << v.log;
}

TEST(VerifierLog, FramesAreNamed) {
  const Verified v = verified(R"(r1 = r10
r1 += -8
call f
r0 = *(u64 *)(r10 -8)
exit
function f
*(u32 *)(r1 +0) = 5
*(u16 *)(r1 +6) = 0
r0 = 0
exit
)",
                              2);
  EXPECT_NE(v.log.find("2: (85) call pc+2\ncaller:\n R10=fp0\ncallee:\n frame1: R1=fp[0]-8 "
                       "R10=fp0\n"),
            std::string::npos)
      << v.log;
  EXPECT_NE(v.log.find("; frame1: R1=fp[0]-8\n"), std::string::npos) << v.log;
  EXPECT_NE(v.log.find("\nto caller at 3:\n R0=0 R10=fp0 fp-8=00??5\n"), std::string::npos)
      << v.log;
}

TEST(VerifierLog, GlobalFunctionsAreValidatedOnTheirOwn) {
  const Verified v = verified(R"(r1 = 5
call global_scalar
exit
global global_scalar
r0 = r1
exit
)",
                              2);
  EXPECT_NE(v.log.find("Func#1 ('global_scalar') is global and assumed valid.\n2: R0=scalar()\n"),
            std::string::npos)
      << v.log;
  EXPECT_NE(v.log.find("Validating global_scalar() func#1...\n3: R1=scalar()"), std::string::npos)
      << v.log;
}

TEST(VerifierAdvice, MostMessagesHaveTheirOwn) {
  const std::string_view general = verifier::advice_for("no such message");
  EXPECT_FALSE(general.empty());
  size_t rejected = 0, with_general = 0;
  for (const test::VerifierCase& c : test::verifier_cases_or_die()) {
    if (c.accept || c.file == "structure") continue;
    ++rejected;
    with_general += verifier::advice_for(c.message) == general;
  }
  EXPECT_LT(with_general * 10, rejected);
}

TEST(VerifierAdvice, UncastArenaPointer) {
  EXPECT_NE(verifier::advice_for("R2 invalid mem access 'scalar'").find("__arena"),
            std::string_view::npos);
  EXPECT_NE(verifier::advice_for("R0 invalid mem access 'map_value_or_null'").find("NULL"),
            std::string_view::npos);
  EXPECT_NE(verifier::advice_for("R3 unbounded memory access, make sure").find("mask"),
            std::string_view::npos);
}

}  // namespace
}  // namespace uarena::jit
