// Loads, stores and atomics. Plain ones address [reg + off]; arena ones [reg + r12 + off], where
// the register holds a zero-extended 32-bit arena pointer (K59), and have an exception entry each:
// an absent page zeroes the destination or drops the store (K49-K51).
#include "jit/x86_64/emitter.h"

namespace uarena::jit::x86_64 {

Xbyak::Address Emitter::operand_at(unsigned bytes, uint8_t base, int16_t off, bool arena) const {
  Xbyak::RegExp address(reg64(base));
  if (arena) address = address + r12;
  address = address + static_cast<size_t>(int64_t{off});
  switch (bytes) {
    case 1:
      return byte[address];
    case 2:
      return word[address];
    case 4:
      return dword[address];
    default:
      return qword[address];
  }
}

void Emitter::emit_load(const Insn& insn) {
  const uint8_t mode = insn_mode(insn.code);
  const bool arena = mode == kProbeMem32 || mode == kProbeMem32sx;
  const bool extend = mode == kMemsx || mode == kProbeMem32sx;
  const unsigned bytes = access_bytes(insn.code);
  const Xbyak::Address from = operand_at(bytes, insn.src, insn.off, arena);
  const Reg64 to = reg64(insn.dst);
  access(arena, static_cast<uint8_t>(to.getIdx()), [&] {
    if (bytes == 8)
      mov(to, from);
    else if (bytes == 4 && extend)
      movsxd(to, from);
    else if (bytes == 4)
      mov(to.cvt32(), from);
    else if (extend)
      movsx(to, from);
    else
      movzx(to.cvt32(), from);
  });
}

void Emitter::emit_store(const Insn& insn) {
  const bool arena = insn_mode(insn.code) == kProbeMem32;
  const unsigned bytes = access_bytes(insn.code);
  access(arena, kNoRegister,
         [&] { mov(operand_at(bytes, insn.dst, insn.off, arena), sized(reg64(insn.src), bytes)); });
}

void Emitter::emit_store_immediate(const Insn& insn) {
  const bool arena = insn_mode(insn.code) == kProbeMem32;
  const unsigned bytes = access_bytes(insn.code);
  // xbyak wants an immediate that fits the operand as a signed number.
  int64_t value = insn.imm;
  if (bytes == 1) value = static_cast<int8_t>(insn.imm);
  if (bytes == 2) value = static_cast<int16_t>(insn.imm);
  access(arena, kNoRegister,
         [&] { mov(operand_at(bytes, insn.dst, insn.off, arena), static_cast<uint64_t>(value)); });
}

void Emitter::emit_atomic(const Insn& insn) {
  const bool arena = insn_mode(insn.code) == kProbeAtomic;
  const unsigned bytes = access_bytes(insn.code);
  Insn plain = insn;
  switch (insn.imm) {
    // x86 orders loads with later accesses and stores with earlier ones: plain moves will do.
    case kLoadAcq:
      plain.code = static_cast<uint8_t>(kLdx | insn_size(insn.code) | (arena ? kProbeMem32 : kMem));
      return emit_load(plain);
    case kStoreRel:
      plain.code = static_cast<uint8_t>(kStx | insn_size(insn.code) | (arena ? kProbeMem32 : kMem));
      return emit_store(plain);
    case kOr | kFetch:
    case kAnd | kFetch:
    case kXor | kFetch:
      return emit_fetch_loop(insn, arena);
    default:
      break;
  }
  const Reg source = sized(reg64(insn.src), bytes);
  uint8_t zero = kNoRegister;
  if (insn.imm == kCmpxchg)
    zero = static_cast<uint8_t>(rax.getIdx());
  else if ((insn.imm & kFetch) != 0)
    zero = static_cast<uint8_t>(source.getIdx());
  access(arena, zero,
         [&] { emit_locked(insn, operand_at(bytes, insn.dst, insn.off, arena), source); });
  // cmpxchg leaves rax alone when it succeeds, so its upper half may still be set.
  if (insn.imm == kCmpxchg && bytes == 4) mov(eax, eax);
}

void Emitter::emit_locked(const Insn& insn, const Xbyak::Address& target, const Reg& source) {
  if (insn.imm == kXchg) return xchg(target, source);  // locked by itself
  lock();
  switch (insn.imm) {
    case kAdd:
      return add(target, source);
    case kOr:
      return or_(target, source);
    case kAnd:
      return and_(target, source);
    case kXor:
      return xor_(target, source);
    case kAdd | kFetch:
      return xadd(target, source);
    default:
      UARENA_ASSERT(insn.imm == kCmpxchg, "atomic operation {:#x} does not exist", insn.imm);
      return cmpxchg(target, source);
  }
}

// AND, OR and XOR that return the old value: load, combine, compare-and-exchange until it holds.
// rax is needed for that, so r11 keeps R0 and stands for it where R0 is the address or the operand.
// A fault goes to the end with rax zeroed, which makes the fetched value 0.
void Emitter::emit_fetch_loop(const Insn& insn, bool arena) {
  const unsigned bytes = access_bytes(insn.code);
  const Reg64 source = reg64(insn.src);
  const bool source_is_r0 = insn.src == 0;
  const Reg operand = sized(source_is_r0 ? r11 : source, bytes);
  const Reg combined = sized(r10, bytes);
  const Reg old = sized(rax, bytes);
  Xbyak::RegExp address(insn.dst == 0 ? r11 : reg64(insn.dst));
  if (arena) address = address + r12;
  address = address + static_cast<size_t>(int64_t{insn.off});
  const Xbyak::Address target = bytes == 8 ? qword[address] : dword[address];
  const auto zero = static_cast<uint8_t>(rax.getIdx());

  const size_t first_entry = entries_.size();
  Xbyak::Label again;
  mov(r11, rax);
  L(again);
  access(arena, zero, [&] { mov(old, target); });
  mov(combined, old);
  switch (insn.imm & ~kFetch) {
    case kOr:
      or_(combined, operand);
      break;
    case kAnd:
      and_(combined, operand);
      break;
    default:
      xor_(combined, operand);
      break;
  }
  access(arena, zero, [&] {
    lock();
    cmpxchg(target, combined);
  });
  jnz(again, T_SHORT);
  for (size_t n = first_entry; n < entries_.size(); ++n) {
    entries_[n].resume = static_cast<uint32_t>(getSize());
  }
  if (source_is_r0) {
    if (bytes == 4) mov(eax, eax);
    return;
  }
  mov(sized(source, bytes), old);
  mov(rax, r11);
}

}  // namespace uarena::jit::x86_64
