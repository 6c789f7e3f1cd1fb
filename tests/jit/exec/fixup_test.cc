// Fix-up: what each verified instruction becomes. The facts come from the test instead of the
// verifier.
#include <gtest/gtest.h>

#include "tests/jit/exec/program_builder.h"

namespace uarena::jit {
namespace {

constexpr uint64_t kUserVmStart = 0x7e9000100000;

uint64_t nothing(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext*) { return 0; }

class FixupTest : public testing::Test {
 protected:
  FixupTest() {
    arena_map_.kind = MapKind::arena;
    data_map_.kind = MapKind::data;
    data_map_.value = data_;
    binding_.maps = {&arena_map_, &data_map_};
    binding_.functions = &functions_;
    binding_.arena = {0x100008000, kUserVmStart, 1 << 20, false};
  }

  static VerifiedProgram verified(std::vector<Insn> insns, std::vector<InsnFacts> facts) {
    return VerifiedProgramTestPeer::make(std::move(insns), std::move(facts), 16, 20);
  }
  // One instruction (or a wide one) with these facts.
  FixedProgram fix(std::vector<Insn> insns, InsnFacts facts) const {
    facts.reached = true;
    std::vector<InsnFacts> all(insns.size(), facts);
    return fix_up(verified(std::move(insns), std::move(all)), binding_);
  }
  Insn fix_one(const Insn& insn, InsnFacts facts = {}) const {
    return fix({insn}, facts).insns()[0];
  }
  uint64_t constant(uint8_t pseudo, int32_t imm, int32_t next_imm) const {
    const auto fixed =
        fix({make_insn(kLd | kImm | kDw, 1, pseudo, 0, imm), make_insn(0, 0, 0, 0, next_imm)}, {});
    EXPECT_EQ(unsigned{fixed.insns()[0].src}, 0U);
    return static_cast<uint32_t>(fixed.insns()[0].imm) |
           uint64_t{static_cast<uint32_t>(fixed.insns()[1].imm)} << 32;
  }

  BoundMap arena_map_;
  BoundMap data_map_;
  std::byte data_[64] = {};
  FunctionDesc first_{.name = "first", .function = nothing};
  FunctionDesc second_{.name = "second", .function = nothing};
  CallTable functions_ = {{&first_, nullptr, &second_}, {}};
  Binding binding_;
};

TEST_F(FixupTest, ConstantsStayAndReferencesBecomeAddresses) {
  EXPECT_EQ(constant(0, 0x11223344, 0x55667788), 0x5566778811223344U);
  EXPECT_EQ(constant(kPseudoMapFd, 0, 0), reinterpret_cast<uint64_t>(&arena_map_));
  EXPECT_EQ(constant(kPseudoMapValue, 1, 24), reinterpret_cast<uint64_t>(data_ + 24));
  // K74: an address of the user's.
  EXPECT_EQ(constant(kPseudoMapValue, 0, 0x1234), kUserVmStart + 0x1234);
}

TEST_F(FixupTest, ArenaAccessesGetTheirOwnOpcodes) {
  const InsnFacts arena{.region = Region::arena};
  const struct {
    uint8_t from, to;
  } cases[] = {
      {kLdx | kMem | kW, kLdx | kProbeMem32 | kW},
      {kLdx | kMemsx | kB, kLdx | kProbeMem32sx | kB},
      {kSt | kMem | kH, kSt | kProbeMem32 | kH},
      {kStx | kMem | kDw, kStx | kProbeMem32 | kDw},
      {kStx | kAtomic | kDw, kStx | kProbeAtomic | kDw},
  };
  for (const auto& test : cases) {
    const Insn before = make_insn(test.from, 1, 2, -4, kXchg);
    Insn after = before;
    after.code = test.to;
    EXPECT_EQ(fix_one(before, arena), after);
    for (const Region region : {Region::stack, Region::ctx, Region::map_value}) {
      EXPECT_EQ(fix_one(before, {.region = region}), before);
    }
  }
}

TEST_F(FixupTest, CastsFollowTheArenasFlag) {
  const Insn to_kern = make_insn(kAlu64 | kMov | kX, 1, 2, kAddrSpaceCastOff, kCastKern);
  const Insn to_user = make_insn(kAlu64 | kMov | kX, 1, 2, kAddrSpaceCastOff, kCastUser);
  const Insn zero_extend = make_insn(kAlu | kMov | kX, 1, 2, 0, 0);
  EXPECT_EQ(fix_one(to_kern), zero_extend);  // K56
  EXPECT_EQ(fix_one(to_user), to_user);      // K57
  binding_.arena.no_user_conv = true;
  EXPECT_EQ(fix_one(to_user), zero_extend);  // K58
}

TEST_F(FixupTest, ArithmeticOnArenaPointersIsNarrowed) {
  const Insn add = make_insn(kAlu64 | kAdd | kX, 1, 2, 0, 0);
  Insn narrow = add;
  narrow.code = kAlu | kAdd | kX;
  EXPECT_EQ(fix_one(add, {.arena_alu = true}), narrow);  // K62
  EXPECT_EQ(fix_one(add), add);
}

TEST_F(FixupTest, CallsIndexTheFunctionsOfTheProgram) {
  const auto call = [](int32_t index) {
    return make_insn(kJmp | kCall, 0, kPseudoKfuncCall, 0, index);
  };
  const auto fixed = fix({call(2), call(0), call(2)}, {});
  EXPECT_EQ(fixed.functions(), (std::vector<const FunctionDesc*>{&second_, &first_}));
  EXPECT_EQ(fixed.insns()[0].imm, 0);
  EXPECT_EQ(fixed.insns()[1].imm, 1);
  EXPECT_EQ(fixed.insns()[2].imm, 0);
}

TEST_F(FixupTest, DeadCodeBecomesExitInPlace) {
  const Insn exit = make_insn(kJmp | kExit, 0, 0, 0, 0);
  // A reference in dead code is not resolved: its map may not even be bound.
  const std::vector<Insn> insns = {exit, make_insn(kLd | kImm | kDw, 1, kPseudoMapFd, 0, 99),
                                   Insn(), make_insn(kStx | kMem | kDw, 1, 2, 0, 0)};
  std::vector<InsnFacts> facts(4);
  facts[0].reached = true;
  const auto fixed = fix_up(verified(insns, facts), binding_);
  EXPECT_EQ(fixed.insns(), std::vector<Insn>(4, exit));
}

TEST_F(FixupTest, TakesOverWhatTheVerifierLearned) {
  const auto fixed = fix({make_insn(kJmp | kJcond, 0, 0, 0, 0)}, {});
  EXPECT_EQ(fixed.name(), "test");
  EXPECT_EQ(fixed.ctx_size(), 16U);
  EXPECT_TRUE(fixed.uses_arena());
  EXPECT_EQ(fixed.arena().user_vm_start, kUserVmStart);
  EXPECT_EQ(fixed.subprogs()[0].stack_bytes, 24U);  // rounded up
  EXPECT_TRUE(fixed.subprogs()[0].has_may_goto);
  EXPECT_EQ(fixed.lines().size(), 1U);
}

using FixupDeathTest = FixupTest;

TEST_F(FixupDeathTest, WhatTheVerifierExcludesIsAsserted) {
  EXPECT_DEATH(fix_one(make_insn(kLdx | kMem | kW, 1, 2, 0, 0)), "access to nothing");
  EXPECT_DEATH(fix_one(make_insn(kJmp | kCall, 0, kPseudoKfuncCall, 0, 1)), "is not there");
  EXPECT_DEATH(constant(kPseudoMapFd, 7, 0), "is not bound");
  EXPECT_DEATH(fix_one(make_insn(0x20, 0, 0, 0, 0)), "legacy packet access");
}

}  // namespace
}  // namespace uarena::jit
