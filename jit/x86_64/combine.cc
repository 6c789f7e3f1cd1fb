// Sequences of BPF instructions that are one or two of x86: BPF has two operands where x86 has lea,
// and no rotation. Each is known by its shape alone, inside straight code: nobody jumps into it,
// and no turn is counted in it. Registers end up as the single instructions would leave them, but
// for a scratch register that is overwritten unread soon after, which is left out.
//
// Blinded programs are emitted one instruction at a time.
#include "jit/x86_64/emitter.h"

namespace uarena::jit::x86_64 {
namespace {

// How far ahead the next write of a scratch register is looked for: compilers reuse one at once.
constexpr size_t kLookAhead = 16;

bool is_alu(const Insn& insn) {
  return insn_class(insn.code) == kAlu || insn_class(insn.code) == kAlu64;
}
bool is_wide(const Insn& insn) { return insn_class(insn.code) == kAlu64; }
bool has_width(const Insn& insn, bool wide) { return is_alu(insn) && is_wide(insn) == wide; }

bool is_copy(const Insn& insn) {
  return is_alu(insn) && insn_op(insn.code) == kMov && uses_register(insn.code) && insn.off == 0 &&
         insn.imm == 0 && insn.dst != insn.src;
}

bool is_shift_by_constant(const Insn& insn, uint8_t reg, bool wide) {
  return has_width(insn, wide) && !uses_register(insn.code) && insn.dst == reg &&
         (insn_op(insn.code) == kLsh || insn_op(insn.code) == kRsh) && insn.imm > 0 &&
         insn.imm < (wide ? 64 : 32);
}

// Joins bits that do not overlap.
bool joins(const Insn& insn, bool wide) {
  const uint8_t op = insn_op(insn.code);
  return has_width(insn, wide) && uses_register(insn.code) && insn.off == 0 &&
         (op == kOr || op == kXor || op == kAdd);
}

enum class Use { none, reads, overwrites };

// What an instruction of straight code does to a register.
Use use_of(const Insn& insn, uint8_t reg) {
  switch (insn_class(insn.code)) {
    case kAlu:
    case kAlu64: {
      if (uses_register(insn.code) && insn.src == reg) return Use::reads;
      if (insn.dst != reg) return Use::none;
      return insn_op(insn.code) == kMov ? Use::overwrites : Use::reads;
    }
    case kLdx:
      if (insn.src == reg) return Use::reads;
      return insn.dst == reg ? Use::overwrites : Use::none;
    case kSt:
      return insn.dst == reg ? Use::reads : Use::none;
    case kStx: {
      const bool atomic = insn_mode(insn.code) == kAtomic || insn_mode(insn.code) == kProbeAtomic;
      if (insn.dst == reg || insn.src == reg || atomic) return Use::reads;  // or R0 by itself
      return Use::none;
    }
    default:
      return Use::reads;  // jumps and calls: whatever comes there
  }
}

}  // namespace

// The instructions from `at` on that are executed one after the other, whatever happens.
size_t Emitter::straight_from(size_t at, size_t most) const {
  size_t count = 1;
  while (count < most && at + count < insns_.size() && !is_target_[at + count] &&
         !program_.counts_at(at + count))
    ++count;
  return count;
}

// At the end of a subprogram there is a jump or an exit, which ends the search.
bool Emitter::is_overwritten(uint8_t reg, size_t from) const {
  for (size_t at = from; at < insns_.size() && at < from + kLookAhead && !is_target_[at]; ++at) {
    const Use use = is_ld_imm64(insns_[at]) ? (insns_[at].dst == reg ? Use::overwrites : Use::none)
                                            : use_of(insns_[at], reg);
    if (use != Use::none) return use == Use::overwrites;
    if (is_ld_imm64(insns_[at])) ++at;
  }
  return false;
}

size_t Emitter::emit_combined(size_t at) {
  if (blinding_ != 0 || !is_alu(insns_[at])) return 0;
  const size_t straight = straight_from(at, 4);
  if (straight >= 4 && emit_rotation(at)) return 4;
  if (straight >= 2 && emit_three_operands(at)) return 2;
  if (straight >= 2 && emit_extension(at)) return 2;
  return 0;
}

// copy = value; one of them shifted left, the other one right, by a width together; joined.
bool Emitter::emit_rotation(size_t at) {
  const Insn& copy = insns_[at];
  const Insn& join = insns_[at + 3];
  const bool wide = is_wide(copy);
  if (!is_copy(copy) || !joins(join, wide)) return false;
  const uint8_t result = join.dst;
  const uint8_t rest = join.src;
  if (!(result == copy.dst && rest == copy.src) && !(result == copy.src && rest == copy.dst))
    return false;
  const bool result_first = insns_[at + 1].dst == result;
  const Insn& kept = insns_[at + (result_first ? 1 : 2)];
  const Insn& other = insns_[at + (result_first ? 2 : 1)];
  if (!is_shift_by_constant(kept, result, wide) || !is_shift_by_constant(other, rest, wide) ||
      insn_op(kept.code) == insn_op(other.code) || kept.imm + other.imm != (wide ? 64 : 32))
    return false;
  const int left = insn_op(kept.code) == kLsh ? kept.imm : other.imm;
  const bool rest_is_read = !is_overwritten(rest, at + 4);
  if (rest_is_read || result == copy.dst) emit_move(copy, wide);
  rol(full(result, wide), left);
  if (rest_is_read) emit_shift(other, wide);
  return true;
}

// sum = value; sum += another one.
bool Emitter::emit_three_operands(size_t at) {
  const Insn& copy = insns_[at];
  const Insn& add = insns_[at + 1];
  const bool wide = is_wide(copy);
  if (!is_copy(copy) || !has_width(add, wide) || insn_op(add.code) != kAdd || add.dst != copy.dst)
    return false;
  Xbyak::RegExp sum(reg64(copy.src));
  if (!uses_register(add.code))
    sum = sum + static_cast<size_t>(int64_t{add.imm});
  else if (add.src == add.dst)
    sum = sum + reg64(copy.src);
  else
    sum = sum + reg64(add.src);
  if (wide)
    lea(reg64(copy.dst), ptr[sum]);
  else
    lea(reg32(copy.dst), ptr[sum]);
  return true;
}

// Shifted out to the left and back: what compilers make of a 32-bit value where they have no
// instruction for it.
bool Emitter::emit_extension(size_t at) {
  const Insn& out = insns_[at];
  const Insn& back = insns_[at + 1];
  if (out.code != (kAlu64 | kLsh) || out.imm != 32 || back.dst != out.dst || back.imm != 32)
    return false;
  if (back.code == (kAlu64 | kRsh))
    mov(reg32(out.dst), reg32(out.dst));
  else if (back.code == (kAlu64 | kArsh))
    movsxd(reg64(out.dst), reg32(out.dst));
  else
    return false;
  return true;
}

}  // namespace uarena::jit::x86_64
