// Arithmetic at its corners (RFC 9669, sections 4.1 and 4.2): each case through the interpreter,
// the compiler as this CPU has it, and the compiler without BMI2. The operands go through every
// pair of registers that matters, because division and shifts borrow rax, rdx and rcx.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>

#include "jit/x86_64/compiler.h"
#include "tests/jit/exec/program_builder.h"
#include "tests/jit/exec/run_code.h"

namespace uarena::jit {
namespace {

constexpr uint64_t kMin64 = uint64_t{1} << 63;
constexpr uint64_t kMin32 = uint64_t{1} << 31;
constexpr uint64_t kMax64 = ~uint64_t{0};

struct Case {
  const char* what;
  uint8_t op;   // class and operation, without the source bit
  int16_t off;  // 1: signed division; 8, 16, 32: sign extension
  uint64_t dst, src, result;
};

constexpr Case kCases[] = {
    {"div64 by 0", kAlu64 | kDiv, 0, 7, 0, 0},
    {"div32 by 0", kAlu | kDiv, 0, kMax64, 0, 0},
    {"div32 by 0 in the low half", kAlu | kDiv, 0, 7, uint64_t{1} << 32, 0},
    {"mod64 by 0", kAlu64 | kMod, 0, kMax64, 0, kMax64},
    {"mod32 by 0 clears the upper half", kAlu | kMod, 0, kMax64, 0, 0xffffffff},
    {"sdiv64 by 0", kAlu64 | kDiv, 1, kMin64, 0, 0},
    {"smod32 by 0", kAlu | kMod, 1, kMax64 - 4, 0, 0xfffffffb},
    {"sdiv64 overflow", kAlu64 | kDiv, 1, kMin64, kMax64, kMin64},
    {"smod64 overflow", kAlu64 | kMod, 1, kMin64, kMax64, 0},
    {"sdiv32 overflow", kAlu | kDiv, 1, kMin32, 0xffffffff, kMin32},
    {"smod32 overflow", kAlu | kMod, 1, kMin32, 0xffffffff, 0},
    {"sdiv64 rounds to zero", kAlu64 | kDiv, 1, kMax64 - 6, 2, kMax64 - 2},
    {"smod64 has the dividend's sign", kAlu64 | kMod, 1, kMax64 - 6, 2, kMax64},
    {"sdiv32 result is zero-extended", kAlu | kDiv, 1, 0xfffffff9, 2, 0xfffffffd},
    {"div64 is unsigned", kAlu64 | kDiv, 0, kMax64, 2, kMax64 >> 1},
    {"div32 looks at the low half", kAlu | kDiv, 0, 0xffffffff00000009, 2, 4},
    {"div64 by a power of two", kAlu64 | kDiv, 0, kMax64, 16, kMax64 >> 4},
    {"mod64 by a power of two", kAlu64 | kMod, 0, kMax64, 16, 15},
    {"div32 by 1", kAlu | kDiv, 0, kMax64, 1, 0xffffffff},
    {"mod32 by 2^31", kAlu | kMod, 0, 0x90000001, kMin32, 0x10000001},
    {"div32 by 2^31", kAlu | kDiv, 0, 0x90000001, kMin32, 1},
    {"lsh64 masks its count", kAlu64 | kLsh, 0, 1, 65, 2},
    {"lsh32 masks its count", kAlu | kLsh, 0, kMax64, 33, 0xfffffffe},
    {"lsh32 by 0 clears the upper half", kAlu | kLsh, 0, kMax64, 32, 0xffffffff},
    {"rsh64", kAlu64 | kRsh, 0, kMin64, 63, 1},
    {"rsh32", kAlu | kRsh, 0, 0xff80000000, 31, 1},
    {"arsh64", kAlu64 | kArsh, 0, kMin64, 62, kMax64 - 1},
    {"arsh32 is zero-extended", kAlu | kArsh, 0, kMin32, 4, 0xf8000000},
    {"arsh32 by 0", kAlu | kArsh, 0, 0xff80000000, 0, kMin32},
    {"add32 wraps and is zero-extended", kAlu | kAdd, 0, 0xffffffff, 2, 1},
    {"sub32 wraps", kAlu | kSub, 0, 0, 1, 0xffffffff},
    {"mul64", kAlu64 | kMul, 0, kMax64, 3, kMax64 - 2},
    {"mul32", kAlu | kMul, 0, 0x100000003, 5, 15},
    {"and64 with a negative number", kAlu64 | kAnd, 0, kMax64, kMax64 - 1, kMax64 - 1},
    {"or32", kAlu | kOr, 0, kMax64 << 32, 1, 1},
    {"xor64", kAlu64 | kXor, 0, kMax64, kMax64, 0},
    {"mov32 clears the upper half", kAlu | kMov, 0, 0, kMax64, 0xffffffff},
    {"mov64", kAlu64 | kMov, 0, 0, kMin64, kMin64},
    {"movsx 8 to 64", kAlu64 | kMov, 8, 0, 0x1280, kMax64 - 0x7f},
    {"movsx 16 to 64", kAlu64 | kMov, 16, 0, 0x128000, kMax64 - 0x7fff},
    {"movsx 32 to 64", kAlu64 | kMov, 32, 0, 0x180000000, kMax64 - 0x7fffffff},
    {"movsx 8 to 32", kAlu | kMov, 8, 0, 0x1280, 0xffffff80},
    {"movsx 16 to 32", kAlu | kMov, 16, 0, 0x128000, 0xffff8000},
};

// The ways a program is executed.
std::vector<uint64_t> results(const std::vector<Insn>& insns) {
  std::vector<uint64_t> all;
  for (const Mode mode : {Mode::interpret, Mode::compile}) {
    all.push_back(run_once(*executable(FixedProgramTestPeer::make(insns), mode)).result);
  }
  for (const x86_64::BlindingKey blinding : {x86_64::BlindingKey{0}, x86_64::new_blinding_key()}) {
    const auto code = x86_64::compile(FixedProgramTestPeer::make(insns), {.bmi2 = false}, blinding);
    const auto block = (*ExecMemory::instance())->add(code->code);
    RunContext context;
    all.push_back(run_code(*block, &context));
  }
  return all;
}

// Sets every register to a mark, runs `insn` on dst and src, and returns dst's value, or the mark
// that was destroyed.
std::vector<Insn> surround(const Insn& insn, uint64_t dst_value, uint64_t src_value) {
  std::vector<Insn> insns;
  for (uint8_t n = 0; n <= 9; ++n) append_constant(&insns, n, 0x1111111111111111ULL * n);
  append_constant(&insns, insn.dst, dst_value);
  if (uses_register(insn.code) && insn.src != insn.dst)
    append_constant(&insns, insn.src, src_value);
  insns.push_back(insn);
  // On the stack: dst, so that r0 is free for comparisons.
  insns.push_back(make_insn(kStx | kMem | kDw, 10, insn.dst, -8, 0));
  insns.push_back(make_insn(kStx | kMem | kDw, 10, 9, -16, 0));
  for (uint8_t n = 0; n <= 9; ++n) {
    if (n == insn.dst) continue;
    const bool is_source = uses_register(insn.code) && n == insn.src;
    const uint64_t mark = is_source ? src_value : 0x1111111111111111ULL * n;
    const uint8_t scratch = n == 9 ? 8 : 9;
    if (n == 9) {
      insns.push_back(make_insn(kLdx | kMem | kDw, 9, 10, -16, 0));
    }
    append_constant(&insns, scratch, mark);
    insns.push_back(make_insn(kJmp | kJeq | kX, n, scratch, 2, 0));
    insns.push_back(make_insn(kAlu64 | kMov | kK, 0, 0, 0, 0xbad0 + n));
    insns.push_back(make_insn(kJmp | kExit, 0, 0, 0, 0));
  }
  insns.push_back(make_insn(kLdx | kMem | kDw, 0, 10, -8, 0));
  insns.push_back(make_insn(kJmp | kExit, 0, 0, 0, 0));
  return insns;
}

TEST(Arithmetic, CornersWithEveryPairOfRegisters) {
  for (const Case& test : kCases) {
    for (const uint8_t dst : {0, 3, 4, 5, 7}) {
      for (const uint8_t src : {0, 3, 4, 1, 9}) {
        if (dst == src) continue;
        SCOPED_TRACE(fmt::format("{}, r{} and r{}", test.what, dst, src));
        const Insn insn = make_insn(test.op | kX, dst, src, test.off, 0);
        EXPECT_THAT(results(surround(insn, test.dst, test.src)), testing::Each(test.result));
      }
    }
  }
}

TEST(Arithmetic, CornersWithImmediates) {
  for (const Case& test : kCases) {
    // Only operands that a sign-extended 32-bit immediate can be, and no movsx, which has no such
    // form.
    const auto imm = static_cast<int32_t>(test.src);
    const bool is_32 = insn_class(test.op) == kAlu;
    if (!is_32 && static_cast<uint64_t>(int64_t{imm}) != test.src) continue;
    if (is_32 && test.src >> 32 != 0) continue;
    if (insn_op(test.op) == kMov && test.off != 0) continue;
    for (const uint8_t dst : {0, 3, 4, 7}) {
      SCOPED_TRACE(fmt::format("{}, r{}", test.what, dst));
      const Insn insn = make_insn(test.op | kK, dst, 0, test.off, imm);
      EXPECT_THAT(results(surround(insn, test.dst, 0)), testing::Each(test.result));
    }
  }
}

struct Unary {
  const char* what;
  Insn insn;
  uint64_t value, result;
};
const uint64_t kBytes = 0x8899aabbccddeeff;

TEST(Arithmetic, NegationAndByteOrder) {
  const Unary cases[] = {
      {"neg64", make_insn(kAlu64 | kNeg, 6, 0, 0, 0), 1, kMax64},
      {"neg64 of the smallest", make_insn(kAlu64 | kNeg, 6, 0, 0, 0), kMin64, kMin64},
      {"neg32", make_insn(kAlu | kNeg, 6, 0, 0, 0), 1, 0xffffffff},
      {"le16", make_insn(kAlu | kEnd, 6, 0, 0, 16), kBytes, 0xeeff},
      {"le32", make_insn(kAlu | kEnd, 6, 0, 0, 32), kBytes, 0xccddeeff},
      {"le64", make_insn(kAlu | kEnd, 6, 0, 0, 64), kBytes, kBytes},
      {"be16", make_insn(kAlu | kEnd | kX, 6, 0, 0, 16), kBytes, 0xffee},
      {"be32", make_insn(kAlu | kEnd | kX, 6, 0, 0, 32), kBytes, 0xffeeddcc},
      {"be64", make_insn(kAlu | kEnd | kX, 6, 0, 0, 64), kBytes, 0xffeeddccbbaa9988},
      {"bswap16", make_insn(kAlu64 | kEnd, 6, 0, 0, 16), kBytes, 0xffee},
      {"bswap32", make_insn(kAlu64 | kEnd, 6, 0, 0, 32), kBytes, 0xffeeddcc},
      {"bswap64", make_insn(kAlu64 | kEnd, 6, 0, 0, 64), kBytes, 0xffeeddccbbaa9988},
  };
  for (const Unary& test : cases) {
    for (const uint8_t dst : {0, 1, 2, 6, 8}) {
      SCOPED_TRACE(fmt::format("{}, r{}", test.what, dst));
      Insn insn = test.insn;
      insn.dst = dst & 0xf;
      std::vector<Insn> insns;
      append_constant(&insns, dst, test.value);
      insns.push_back(insn);
      insns.push_back(make_insn(kAlu64 | kMov | kX, 0, dst, 0, 0));
      insns.push_back(make_insn(kJmp | kExit, 0, 0, 0, 0));
      EXPECT_THAT(results(insns), testing::Each(test.result));
    }
  }
}

}  // namespace
}  // namespace uarena::jit
