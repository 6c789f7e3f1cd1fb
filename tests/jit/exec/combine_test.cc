// Sequences that the compiler takes together: every register ends up as the interpreter leaves it,
// with operands in any registers, whoever reads the scratch register afterwards, and wherever a
// jump enters. That the combination is used at all shows in the size of the code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jit/x86_64/compiler.h"
#include "tests/jit/exec/program_builder.h"

namespace uarena::jit {
namespace {

constexpr uint64_t kValues[] = {0, 1, 0x8000000000000001, 0x123456789abcdef0, ~uint64_t{0}};

Insn copy(uint8_t width, uint8_t to, uint8_t from) {
  return make_insn(width | kMov | kX, to, from, 0, 0);
}
Insn shift(uint8_t width, uint8_t op, uint8_t reg, int32_t count) {
  return make_insn(width | op | kK, reg, 0, 0, count);
}

// All registers are set, `insns` run, and R0..R9 are mixed into the result, first `fresh` being
// overwritten, if it is a register.
std::vector<Insn> surround(const std::vector<Insn>& insns, uint64_t value, int fresh = -1) {
  std::vector<Insn> all;
  for (uint8_t n = 0; n <= 9; ++n) append_constant(&all, n, value + 0x1111111111111111ULL * n);
  all.insert(all.end(), insns.begin(), insns.end());
  if (fresh >= 0)
    all.push_back(make_insn(kAlu64 | kMov | kK, static_cast<uint8_t>(fresh), 0, 0, 5));
  for (uint8_t n = 1; n <= 9; ++n) {
    all.push_back(make_insn(kAlu64 | kMul | kK, 0, 0, 0, 31));
    all.push_back(make_insn(kAlu64 | kAdd | kX, 0, n, 0, 0));
  }
  all.push_back(make_insn(kJmp | kExit, 0, 0, 0, 0));
  return all;
}

uint64_t result_of(const std::vector<Insn>& insns, Mode mode) {
  return run_once(*executable(FixedProgramTestPeer::make(insns), mode)).result;
}

void expect_same(const std::vector<Insn>& insns) {
  for (const uint64_t value : kValues)
    for (int fresh = -1; fresh <= 9; ++fresh) {
      const auto program = surround(insns, value, fresh);
      EXPECT_EQ(result_of(program, Mode::compile), result_of(program, Mode::interpret))
          << fmt::format("value {:#x}, R{} overwritten", value, fresh);
    }
}

size_t size_of(const std::vector<Insn>& insns) {
  const auto program = FixedProgramTestPeer::make(surround(insns, 1));
  return x86_64::compile(program, {.bmi2 = true}, x86_64::BlindingKey{0})->code.size();
}

// The four orders in which a rotation by `left` is written.
std::vector<std::vector<Insn>> rotations(uint8_t width, uint8_t join, uint8_t x, uint8_t t,
                                         int32_t left) {
  const int32_t right = (width == kAlu64 ? 64 : 32) - left;
  const Insn copied = copy(width, t, x);
  const auto joined = [&](uint8_t to, uint8_t from) {
    return make_insn(width | join | kX, to, from, 0, 0);
  };
  return {
      {copied, shift(width, kRsh, t, right), shift(width, kLsh, x, left), joined(x, t)},
      {copied, shift(width, kLsh, x, left), shift(width, kRsh, t, right), joined(t, x)},
      {copied, shift(width, kLsh, t, left), shift(width, kRsh, x, right), joined(t, x)},
      {copied, shift(width, kRsh, x, right), shift(width, kLsh, t, left), joined(x, t)},
  };
}

TEST(Combine, RotationsAreWhatTheirPartsAre) {
  for (const uint8_t width : {kAlu, kAlu64})
    for (const uint8_t join : {kOr, kXor, kAdd})
      for (const auto& [x, t] : {std::pair{uint8_t{0}, uint8_t{1}}, {3, 4}, {9, 2}, {6, 0}})
        for (const int32_t left : {1, 12, 31})
          for (const auto& insns : rotations(width, join, x, t, left)) expect_same(insns);
}

TEST(Combine, ARotationIsShorterThanItsParts) {
  for (const uint8_t width : {kAlu, kAlu64})
    for (const auto& insns : rotations(width, kOr, 6, 7, 9)) {
      auto no_rotation = insns;
      no_rotation[1].imm += 1;
      EXPECT_LT(size_of(insns), size_of(no_rotation));
    }
}

TEST(Combine, NearlyRotations) {
  const auto good = rotations(kAlu64, kOr, 6, 7, 9).front();
  const std::vector<Insn> parts[] = {
      {good[0], good[1], shift(kAlu64, kLsh, 6, 10), good[3]},   // not by a width
      {good[0], shift(kAlu64, kArsh, 7, 55), good[2], good[3]},  // signed
      {good[0], good[1], shift(kAlu, kLsh, 6, 9), good[3]},      // mixed widths
      {good[0], shift(kAlu64, kLsh, 7, 55), good[2], good[3]},   // both to the left
      {good[0], good[1], good[2], make_insn(kAlu64 | kAnd | kX, 6, 7, 0, 0)},
      {good[0], good[1], good[2], make_insn(kAlu64 | kOr | kX, 6, 8, 0, 0)},
      {good[0], good[1], good[1], good[3]},
      {copy(kAlu64, 7, 7), good[1], good[2], good[3]},
      {make_insn(kAlu64 | kMov | kX, 7, 6, 8, 0), good[1], good[2], good[3]},  // a sign extension
      {shift(kAlu64, kLsh, 6, 64), shift(kAlu64, kRsh, 7, 0), good[2], good[3]},
  };
  for (const auto& insns : parts) expect_same(insns);
}

// From before the sequence straight into it, at each of its instructions.
TEST(Combine, AJumpIntoTheMiddle) {
  for (const auto& insns : rotations(kAlu64, kOr, 6, 7, 9))
    for (int16_t skip = 1; skip < 4; ++skip) {
      std::vector<Insn> all{make_insn(kJmp | kJset | kK, 6, 0, skip, 1)};
      all.insert(all.end(), insns.begin(), insns.end());
      expect_same(all);
    }
}

// The scratch register is read behind a jump, by a store and by an atomic operation.
TEST(Combine, AScratchRegisterThatIsReadLater) {
  const auto rotation = rotations(kAlu64, kOr, 6, 7, 9).front();
  const std::vector<Insn> readers[] = {
      {make_insn(kJmp | kJeq | kK, 7, 0, 0, 0)},
      {make_insn(kJmp | kJa, 0, 0, 0, 0)},
      {make_insn(kStx | kMem | kDw, 10, 7, -8, 0), make_insn(kLdx | kMem | kDw, 8, 10, -8, 0)},
      {make_insn(kSt | kMem | kDw, 10, 0, -8, 3), make_insn(kStx | kAtomic | kDw, 10, 7, -8, kXchg),
       make_insn(kLdx | kMem | kDw, 8, 10, -8, 0)},
      {make_insn(kAlu64 | kNeg, 7, 0, 0, 0)},
      {make_insn(kAlu | kMov | kX, 7, 7, 0, 0)},
      {make_insn(kSt | kMem | kDw, 10, 0, -8, 3), make_insn(kLdx | kMem | kDw, 7, 10, -8, 0)},
  };
  for (const auto& reader : readers) {
    auto insns = rotation;
    insns.insert(insns.end(), reader.begin(), reader.end());
    expect_same(insns);
  }
}

TEST(Combine, SumsInAnotherRegister) {
  for (const uint8_t width : {kAlu, kAlu64})
    for (const auto& [from, to] : {std::pair{uint8_t{0}, uint8_t{1}}, {5, 7}, {8, 5}, {7, 8}}) {
      for (const int32_t imm : {0, 1, -1, INT32_MAX, INT32_MIN})
        expect_same({copy(width, to, from), make_insn(width | kAdd | kK, to, 0, 0, imm)});
      for (const uint8_t other : {to, from, uint8_t{3}})
        expect_same({copy(width, to, from), make_insn(width | kAdd | kX, to, other, 0, 0)});
      // Another width in the second one.
      expect_same(
          {copy(width, to, from), make_insn((width ^ kAlu ^ kAlu64) | kAdd | kK, to, 0, 0, 7)});
    }
}

TEST(Combine, ExtensionsByShifts) {
  for (const uint8_t reg : {0, 4, 9})
    for (const uint8_t back : {kRsh, kArsh})
      for (const int32_t count : {31, 32, 33})
        expect_same({shift(kAlu64, kLsh, reg, 32), shift(kAlu64, back, reg, count)});
  EXPECT_LT(size_of({shift(kAlu64, kLsh, 6, 32), shift(kAlu64, kRsh, 6, 32)}),
            size_of({shift(kAlu64, kLsh, 6, 32), shift(kAlu64, kRsh, 6, 31)}));
}

}  // namespace
}  // namespace uarena::jit
