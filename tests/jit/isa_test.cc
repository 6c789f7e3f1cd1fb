// The disassembler: known texts of each kind of instruction, and for every valid encoding the text
// assembles back to the same bits, so no two instructions look alike.
#include "jit/isa.h"

#include <gtest/gtest.h>

#include "tests/support/bpf_asm.h"
#include "tests/support/insn.h"

namespace uarena::jit {
namespace {

using test::make_insn;

std::string text_of(Insn i, Insn second = {}) {
  const Insn program[] = {i, second};
  return disassemble(program, 0);
}

TEST(Disassemble, KnownTexts) {
  EXPECT_EQ(text_of(make_insn(kLdx | kMem | kDw, 1, 2, 8, 0)), "r1 = *(u64 *)(r2 +8)");
  EXPECT_EQ(text_of(make_insn(kLdx | kMemsx | kB, 1, 2, -8, 0)), "r1 = *(s8 *)(r2 -8)");
  EXPECT_EQ(text_of(make_insn(kStx | kMem | kW, 10, 3, -4, 0)), "*(u32 *)(r10 -4) = r3");
  EXPECT_EQ(text_of(make_insn(kSt | kMem | kH, 10, 0, -4, -1)), "*(u16 *)(r10 -4) = -1");
  EXPECT_EQ(text_of(make_insn(kLdx | kProbeMem32 | kDw, 1, 2, 8, 0)),
            "r1 = *(u64 __arena *)(r2 +8)");
  EXPECT_EQ(text_of(make_insn(kAlu64 | kMov | kX, 1, 1, 1, kCastKern)),
            "r1 = addr_space_cast(r1, 0, 1)");
  EXPECT_EQ(text_of(make_insn(kAlu64 | kMov | kX, 1, 1, 1, kCastUser)),
            "r1 = addr_space_cast(r1, 1, 0)");
  EXPECT_EQ(text_of(make_insn(kAlu64 | kMov | kX, 1, 2, 8, 0)), "r1 = (s8)r2");
  EXPECT_EQ(text_of(make_insn(kAlu | kDiv, 1, 0, 1, 3)), "w1 s/= 3");
  EXPECT_EQ(text_of(make_insn(kAlu | kEnd | kX, 1, 0, 0, 16)), "r1 = be16 r1");
  EXPECT_EQ(text_of(make_insn(kAlu64 | kEnd, 1, 0, 0, 64)), "r1 = bswap64 r1");
  EXPECT_EQ(text_of(make_insn(kStx | kAtomic | kDw, 1, 2, 0, kAdd)), "lock *(u64 *)(r1 +0) += r2");
  EXPECT_EQ(text_of(make_insn(kStx | kAtomic | kDw, 1, 2, 0, kCmpxchg)),
            "r0 = atomic64_cmpxchg((u64 *)(r1 +0), r0, r2)");
  EXPECT_EQ(text_of(make_insn(kStx | kAtomic | kW, 1, 2, 4, kAdd | kFetch)),
            "r2 = atomic_fetch_add((u32 *)(r1 +4), r2)");
  EXPECT_EQ(text_of(make_insn(kStx | kAtomic | kB, 1, 2, 4, kLoadAcq)),
            "r1 = load_acquire((u8 *)(r2 +4))");
  EXPECT_EQ(text_of(make_insn(kJmp | kJcond, 0, 0, -3, 0)), "may_goto pc-3");
  EXPECT_EQ(text_of(make_insn(kJmp32 | kJa, 0, 0, 0, 70000)), "gotol pc+70000");
  EXPECT_EQ(text_of(make_insn(kJmp32 | kJslt | kX, 3, 4, 5, 0)), "if w3 s< w4 goto pc+5");
  EXPECT_EQ(text_of(make_insn(kJmp | kCall, 0, kPseudoKfuncCall, 0, 2)), "call kfunc#2");
  EXPECT_EQ(text_of(make_insn(kLd | kImm | kDw, 3, 0, 0, -1), make_insn(0, 0, 0, 0, 1)),
            "r3 = 0x1ffffffff ll");
  EXPECT_EQ(text_of(make_insn(kLd | kImm | kDw, 3, 2, 0, 1), make_insn(0, 0, 0, 0, 24)),
            "r3 = map[idx:1][0]+24");
}

TEST(Disassemble, NeverReadsPastTheSpan) {
  const Insn half[] = {make_insn(kLd | kImm | kDw, 3, 0, 0, -1)};
  EXPECT_TRUE(disassemble(half, 0).starts_with("(invalid"));
  EXPECT_TRUE(disassemble(half, 1).starts_with("(no instruction"));
  EXPECT_TRUE(disassemble({}, 0).starts_with("(no instruction"));
}

// Every opcode byte with several operands: the text is either marked invalid or comes back from the
// assembler as the same instruction (fields that an instruction does not use are zero).
TEST(Disassemble, EveryTextAssemblesBack) {
  size_t valid = 0;
  for (int code = 0; code < 256; ++code)
    for (int off : {0, 1, 8, 16, 32, -7})
      for (int imm :
           {0, 1, 5, 16, 64, 0x10000, kXor | kFetch, kXchg, kCmpxchg, kLoadAcq, kStoreRel, -2}) {
        for (int src : {0, 1, 2}) {
          const Insn given = make_insn(code, 7, src, off, imm);
          if (is_ld_imm64(given)) continue;
          const std::string text = text_of(given);
          if (text.starts_with("(")) continue;
          ++valid;
          auto back = test::assemble(text);
          ASSERT_TRUE(back) << text << ": " << back.error().message;
          ASSERT_EQ(back->insns.size(), 1u) << text;
          EXPECT_EQ(text_of(back->insns[0]), text);
          EXPECT_EQ(back->insns[0].code & 7, code & 7) << text;
        }
      }
  EXPECT_GT(valid, 5000u);
}

TEST(Disassemble, ConstantsAssembleBack) {
  for (int src : {0, 1, 2})
    for (int high : {0, 77}) {
      if (src == 1 && high != 0) continue;
      const std::vector<Insn> given = {make_insn(kLd | kImm | kDw, 3, src, 0, 9),
                                       make_insn(0, 0, 0, 0, high)};
      EXPECT_EQ(test::assemble_or_die(disassemble(given, 0)), given);
    }
}

TEST(Assemble, LabelsAndComments) {
  const auto program = test::assemble_or_die(R"(
    r1 = 0x10 ll      # two slots
    again:
    if r1 == 0 goto done   // compare
    r1 += -1
    goto again
    done:
    call helper#5
    gotol done
    exit
  )");
  ASSERT_EQ(program.size(), 8u);
  EXPECT_EQ(program[2].off, 2);
  EXPECT_EQ(program[4].off, -3);
  EXPECT_EQ(program[6].imm, -2);
}

TEST(Assemble, SaysWhatItCannotRead) {
  auto bad = test::assemble("r1 = 1\nr1 =? 2\n");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("line 2"), std::string::npos);
  EXPECT_NE(test::assemble("goto nowhere").error().message.find("nowhere"), std::string::npos);
}

}  // namespace
}  // namespace uarena::jit
