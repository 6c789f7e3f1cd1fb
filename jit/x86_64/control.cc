// Jumps and calls.
#include "jit/x86_64/emitter.h"

namespace uarena::jit::x86_64 {

size_t Emitter::jump_target(size_t at) const {
  const Insn& insn = insns_[at];
  const bool far = insn.code == (kJmp32 | kJa);  // gotol: the distance is in imm
  return at + 1 + static_cast<size_t>(static_cast<int64_t>(far ? insn.imm : insn.off));
}

// Backward jumps know their distance and choose for themselves.
Emitter::LabelType Emitter::jump_type(size_t at, size_t target) const {
  if (target <= at) return T_AUTO;
  return short_jumps_[at] ? T_SHORT : T_NEAR;
}

void Emitter::find_short_jumps(std::vector<bool>* short_jumps) const {
  constexpr uint32_t kShortReach = 127;
  for (size_t at = 0; at < insns_.size(); ++at) {
    const Insn& insn = insns_[at];
    if (is_ld_imm64(insn)) {
      ++at;
      continue;
    }
    const bool jumps = insn_class(insn.code) == kJmp || insn_class(insn.code) == kJmp32;
    const uint8_t op = insn_op(insn.code);
    // The jump of a may_goto is out of line.
    if (!jumps || op == kCall || op == kExit || op == kJcond) continue;
    const size_t target = jump_target(at);
    if (target <= at) continue;
    // The jump is the last thing that its instruction emits.
    if (insn_offsets_[target] - insn_offsets_[at + 1] <= kShortReach) (*short_jumps)[at] = true;
  }
}

void Emitter::emit_jump(size_t at, const Insn& insn) {
  const bool wide = insn_class(insn.code) == kJmp;
  switch (insn_op(insn.code)) {
    case kCall:
      return emit_call(at);
    case kExit:
      return emit_epilogue();
    case kJcond:
      return emit_may_goto(at);
    default:
      break;
  }
  const size_t target = jump_target(at);
  if (insn_op(insn.code) == kJa) {
    if (target != at + 1) jmp(insn_labels_[target], jump_type(at, target));
    return;
  }
  emit_compare(insn, wide);
  emit_conditional(insn_op(insn.code), insn_labels_[target], jump_type(at, target));
}

void Emitter::emit_compare(const Insn& insn, bool wide) {
  const Reg left = full(insn.dst, wide);
  const Reg right = full(insn.src, wide);
  const auto imm = static_cast<uint32_t>(insn.imm);
  const bool by_register = uses_register(insn.code);
  if (insn_op(insn.code) == kJset) {
    // Without sign to extend, the low half decides, and its encoding is shorter.
    if (by_register)
      test(left, right);
    else
      test(insn.imm >= 0 ? Reg(reg32(insn.dst)) : left, imm);
    return;
  }
  if (by_register)
    cmp(left, right);
  else if (insn.imm == 0)
    test(left, left);  // the same flags as cmp with 0
  else
    cmp(left, imm);
}

void Emitter::emit_conditional(uint8_t op, const Xbyak::Label& target, LabelType type) {
  switch (op) {
    case kJeq:
      return je(target, type);
    case kJne:
    case kJset:
      return jne(target, type);
    case kJgt:
      return ja(target, type);
    case kJge:
      return jae(target, type);
    case kJlt:
      return jb(target, type);
    case kJle:
      return jbe(target, type);
    case kJsgt:
      return jg(target, type);
    case kJsge:
      return jge(target, type);
    case kJslt:
      return jl(target, type);
    default:
      UARENA_ASSERT(op == kJsle, "jump operation {:#x} does not exist", op);
      return jle(target, type);
  }
}

void Emitter::emit_call(size_t at) {
  const Insn& insn = insns_[at];
  if (is_call_by_number(insn)) return emit_call_by_number(at);
  if (is_kfunc_call(insn)) {
    return emit_function_call(at, *program_.functions()[static_cast<size_t>(insn.imm)]);
  }
  UARENA_ASSERT(is_pseudo_call(insn), "program {}: instruction {}: call with source {}",
                program_.name(), at, unsigned{insn.src});
  const size_t start = at + 1 + static_cast<size_t>(static_cast<int64_t>(insn.imm));
  for (size_t n = 0; n < program_.subprogs().size(); ++n) {
    if (program_.subprogs()[n].start != start) continue;
    mov(r11, qword[rbp + kRunSlot]);
    return call(subprog_labels_[n]);
  }
  UARENA_ASSERT(false, "program {}: instruction {} calls {}, where no subprogram starts",
                program_.name(), at, start);
}

void Emitter::emit_function_call(size_t at, const FunctionDesc& function) {
  if (function.follows_pointers) {
    mov(r10, qword[rbp + kRunSlot]);
    mov(rax, reinterpret_cast<uint64_t>(program_.own_pointers_at(at)));
    mov(in_run(r10, offsetof(RunContext, own_pointers)), rax);
  }
  mov(rax, reinterpret_cast<uint64_t>(function.function));
  emit_call_rax();
  if (may_end_run(function)) emit_check_ended(at);
}

// callx: whatever the number is, the function comes out of the table, or the run ends.
void Emitter::emit_call_by_number(size_t at) {
  SlowPath& none = add_slow_path(SlowPath::Kind::no_function, at);
  const auto& functions = program_.numbered_functions();
  mov(rax, reg64(insns_[at].dst));
  cmp(rax, static_cast<uint32_t>(functions.size()));
  jae(none.entry, T_NEAR);
  mov(r10, reinterpret_cast<uint64_t>(functions.data()));
  mov(rax, qword[r10 + rax * 8]);
  test(rax, rax);
  jz(none.entry, T_NEAR);
  emit_call_rax();
  emit_check_ended(at);
}

// R1-R5 are the first five C arguments already, r9 is the sixth. The turns that are left are in the
// RunContext meanwhile, where functions that call back find them, and which r10 is afterwards.
void Emitter::emit_call_rax() {
  if (counts_) mov(r11, r9);
  mov(r9, qword[rbp + kRunSlot]);
  if (counts_) mov(in_run(r9, offsetof(RunContext, turns_left)), r11);
  call(rax);
  if (!counts_) return;
  mov(r10, qword[rbp + kRunSlot]);
  mov(r9, in_run(r10, offsetof(RunContext, turns_left)));
}

}  // namespace uarena::jit::x86_64
