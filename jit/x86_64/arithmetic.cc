// Arithmetic, moves, casts and byte order. x86 agrees with BPF in most of it: 32-bit operations
// clear the upper half and shift counts are masked. Division does not: it traps where BPF defines a
// result, and it wants rax and rdx.
#include <bit>

#include "jit/x86_64/emitter.h"

namespace uarena::jit::x86_64 {

void Emitter::emit_constant(const Reg64& to, uint64_t value) {
  if (value == 0)
    xor_(to.cvt32(), to.cvt32());
  else
    mov(to, value);  // xbyak picks 5, 7 or 10 bytes
}

void Emitter::emit_alu(const Insn& insn, bool wide) {
  const Reg to = full(insn.dst, wide);
  const Reg from = full(insn.src, wide);
  const bool by_register = uses_register(insn.code);
  const auto imm = static_cast<uint32_t>(insn.imm);
  switch (insn_op(insn.code)) {
    case kAdd:
      return by_register ? add(to, from) : add(to, imm);
    case kSub:
      return by_register ? sub(to, from) : sub(to, imm);
    case kOr:
      return by_register ? or_(to, from) : or_(to, imm);
    case kAnd:
      return by_register ? and_(to, from) : and_(to, imm);
    case kXor:
      return by_register ? xor_(to, from) : xor_(to, imm);
    case kMul:
      return by_register ? imul(to, from) : imul(to, to, insn.imm);
    case kDiv:
    case kMod:
      return emit_divide(insn, wide);
    case kLsh:
    case kRsh:
    case kArsh:
      return emit_shift(insn, wide);
    case kNeg:
      return neg(to);
    case kMov:
      return emit_move(insn, wide);
    default:
      UARENA_ASSERT(insn_op(insn.code) == kEnd, "opcode {:#x} does not exist", insn.code);
      return emit_byte_order(insn, wide);
  }
}

void Emitter::emit_move(const Insn& insn, bool wide) {
  if (is_addr_space_cast(insn)) return emit_cast_user(insn);
  const Reg64 to = reg64(insn.dst);
  if (!uses_register(insn.code)) {
    const auto extended = static_cast<uint64_t>(int64_t{insn.imm});
    return emit_constant(to, wide ? extended : static_cast<uint32_t>(extended));
  }
  const Reg64 from = reg64(insn.src);
  switch (insn.off) {
    case 0:
      if (!wide)
        mov(to.cvt32(), from.cvt32());
      else if (insn.dst != insn.src)
        mov(to, from);
      return;
    case 8:
    case 16:
      return movsx(full(insn.dst, wide), sized(from, static_cast<unsigned>(insn.off) / 8));
    default:
      UARENA_ASSERT(insn.off == 32 && wide, "sign extension of {} bits", insn.off);
      return movsxd(to, from.cvt32());
  }
}

// K57: low half zero gives 0, anything else gets the upper half of user_vm_start.
void Emitter::emit_cast_user(const Insn& insn) {
  const Reg64 to = reg64(insn.dst);
  const uint64_t upper = program_.arena().user_vm_start & ~uint64_t{0xffffffff};
  mov(to.cvt32(), reg32(insn.src));
  if (upper == 0) return;
  mov(r11, upper);
  xor_(r10d, r10d);
  test(to.cvt32(), to.cvt32());
  cmovz(r11, r10);
  or_(to, r11);
}

void Emitter::emit_byte_order(const Insn& insn, bool wide) {
  const bool swap = wide || uses_register(insn.code);
  const Reg64 to = reg64(insn.dst);
  switch (insn.imm) {
    case 16:
      if (swap) rol(sized(to, 2), 8);
      return movzx(to.cvt32(), sized(to, 2));
    case 32:
      return swap ? bswap(to.cvt32()) : mov(to.cvt32(), to.cvt32());
    default:
      UARENA_ASSERT(insn.imm == 64, "byte order of {} bits", insn.imm);
      if (swap) bswap(to);
      return;
  }
}

void Emitter::emit_shift(const Insn& insn, bool wide) {
  const uint8_t op = insn_op(insn.code);
  if (uses_register(insn.code)) {
    return emit_shift_by_register(op, reg64(insn.dst), reg64(insn.src), wide);
  }
  const Reg to = full(insn.dst, wide);
  const int count = insn.imm & (wide ? 63 : 31);
  if (count == 0) {
    if (!wide) mov(to, to);
    return;
  }
  if (op == kLsh) return shl(to, count);
  if (op == kRsh) return shr(to, count);
  return sar(to, count);
}

void Emitter::emit_shift_by_register(uint8_t op, const Reg64& value, const Reg64& count,
                                     bool wide) {
  if (features_.bmi2) {
    const Xbyak::Reg32e to(value.getIdx(), wide ? 64 : 32);
    const Xbyak::Reg32e by(count.getIdx(), wide ? 64 : 32);
    if (op == kLsh) return shlx(to, to, by);
    if (op == kRsh) return shrx(to, to, by);
    return sarx(to, to, by);
  }
  // The count has to be in cl, which is R4; work on a copy so that any overlap is harmless.
  const bool count_in_place = count.getIdx() == rcx.getIdx();
  const Reg copy = sized(r11, wide ? 8 : 4);
  mov(r11, value);
  if (!count_in_place) {
    mov(r10, rcx);
    mov(ecx, count.cvt32());
  }
  if (op == kLsh)
    shl(copy, cl);
  else if (op == kRsh)
    shr(copy, cl);
  else
    sar(copy, cl);
  if (!count_in_place) mov(rcx, r10);
  mov(sized(value, wide ? 8 : 4), copy);
}

// off 1 asks for the signed forms.
void Emitter::emit_divide(const Insn& insn, bool wide) {
  const bool is_signed = insn.off == 1;
  const bool want_remainder = insn_op(insn.code) == kMod;
  const Reg64 value = reg64(insn.dst);
  const Reg divisor = sized(r11, wide ? 8 : 4);
  if (!uses_register(insn.code)) {
    if (emit_divide_by_constant(insn, wide)) return;
    const auto extended = static_cast<uint64_t>(int64_t{insn.imm});
    mov(r11, wide ? extended : static_cast<uint32_t>(extended));
    return emit_division(value, wide, is_signed, want_remainder);
  }
  Xbyak::Label zero;
  Xbyak::Label minus_one;
  Xbyak::Label done;
  mov(divisor, full(insn.src, wide));
  test(divisor, divisor);
  jz(zero, T_SHORT);
  if (is_signed) {  // the smallest number divided by -1 would trap
    cmp(divisor, static_cast<uint32_t>(-1));
    je(minus_one, T_SHORT);
  }
  emit_division(value, wide, is_signed, want_remainder);
  jmp(done, T_SHORT);
  if (is_signed) {
    L(minus_one);
    if (want_remainder)
      xor_(value.cvt32(), value.cvt32());
    else
      neg(sized(value, wide ? 8 : 4));
    jmp(done, T_SHORT);
  }
  L(zero);
  if (!want_remainder)
    xor_(value.cvt32(), value.cvt32());
  else if (!wide)
    mov(value.cvt32(), value.cvt32());
  L(done);
}

// The divisors that need no division; false for the others.
bool Emitter::emit_divide_by_constant(const Insn& insn, bool wide) {
  const Reg value = full(insn.dst, wide);
  const Reg32 low = reg32(insn.dst);
  const bool want_remainder = insn_op(insn.code) == kMod;
  const bool is_signed = insn.off == 1;
  if (insn.imm == 0) {
    if (!want_remainder)
      xor_(low, low);
    else if (!wide)
      mov(low, low);
    return true;
  }
  if (is_signed && insn.imm == -1) {
    if (want_remainder)
      xor_(low, low);
    else
      neg(value);
    return true;
  }
  const auto divisor = static_cast<uint32_t>(insn.imm);
  if (is_signed || !std::has_single_bit(divisor) || (wide && insn.imm < 0)) return false;
  const int shift = std::countr_zero(divisor);
  if (want_remainder)
    and_(low, divisor - 1);
  else if (shift != 0)
    shr(value, shift);
  else if (!wide)
    mov(low, low);
  return true;
}

// value = value / r11 or value % r11; the divisor is neither 0 nor, if signed, -1. Keeps every
// other BPF register.
void Emitter::emit_division(const Reg64& value, bool wide, bool is_signed, bool want_remainder) {
  const unsigned bytes = wide ? 8 : 4;
  const Reg divisor = sized(r11, bytes);
  const bool in_rax = value.getIdx() == rax.getIdx();
  const bool in_rdx = value.getIdx() == rdx.getIdx();
  if (!in_rdx) push(rdx);
  if (!in_rax) {
    mov(r10, rax);
    mov(sized(rax, bytes), sized(value, bytes));
  }
  if (!is_signed) {
    xor_(edx, edx);
    div(divisor);
  } else {
    if (wide)
      cqo();
    else
      cdq();
    idiv(divisor);
  }
  const Reg64& result = want_remainder ? rdx : rax;
  if (value.getIdx() != result.getIdx()) mov(sized(value, bytes), sized(result, bytes));
  if (!in_rax) mov(rax, r10);
  if (!in_rdx) pop(rdx);
}

}  // namespace uarena::jit::x86_64
