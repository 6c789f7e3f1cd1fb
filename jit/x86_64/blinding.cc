// Constants that a program's author chose would stand in executable memory as they are, and whoever
// finds a way to jump into the middle of an instruction could run them as code of his own. Where
// the author is not trusted with that, each constant is split in two by a key that he can't know:
// r11 gets the one half, the other one is xored in, and the instruction works on r11 instead. (The
// kernel's hardening of its compiler does the same.)
//
// Distances of jumps and offsets of 16 bits stay, and so do counts of shifts and widths of byte
// swaps: too short, or not the author's.
#include "jit/x86_64/emitter.h"

namespace uarena::jit::x86_64 {
namespace {

constexpr uint8_t kBlinded = 11;  // in the map of registers: r11

// Whether the instruction's imm is a number of the program's.
bool has_constant(const Insn& insn) {
  const uint8_t op = insn_op(insn.code);
  switch (insn_class(insn.code)) {
    case kSt:
      return true;
    case kAlu:
    case kAlu64:
      return !uses_register(insn.code) && op != kNeg && op != kEnd && op != kLsh && op != kRsh &&
             op != kArsh;
    case kJmp:
    case kJmp32:
      return !uses_register(insn.code) && op != kJa && op != kCall && op != kExit && op != kJcond;
    default:
      return false;
  }
}

}  // namespace

// Another one for each instruction, the same in every pass. Its halves have bit 30 set and bit 31
// not, so that no constant of it gets a shorter encoding.
uint64_t Emitter::key_of(size_t at) const {
  uint64_t mixed = (blinding_ + at) * 0x9e3779b97f4a7c15;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
  return ((mixed ^ mixed >> 31) & 0x7fffffff7fffffff) | 0x4000000040000000;
}

void Emitter::emit_blinded_constant(size_t at, const Reg64& to, uint64_t value) {
  const uint64_t key = key_of(at);
  mov(to, value ^ key);
  mov(r11, key);
  xor_(to, r11);
}

// Puts the constant into r11 and returns the instruction that takes it from there.
Insn Emitter::emit_blinded(size_t at) {
  Insn insn = insns_[at];
  if (!has_constant(insn)) return insn;
  const auto key = static_cast<uint32_t>(key_of(at));
  // Both halves are sign-extended, and so is what they make together.
  mov(r11,
      static_cast<uint64_t>(int64_t{static_cast<int32_t>(static_cast<uint32_t>(insn.imm) ^ key)}));
  xor_(r11, key);
  if (insn_class(insn.code) == kSt)
    insn.code = static_cast<uint8_t>((insn.code & ~0x07) | kStx);
  else
    insn.code |= kX;
  insn.src = kBlinded;
  insn.imm = 0;
  return insn;
}

}  // namespace uarena::jit::x86_64
