// The walk over a program: entry, subprograms with their frames, and the instruction at hand.
#include "jit/x86_64/emitter.h"

#include <algorithm>
#include <cstring>
#include <ranges>

namespace uarena::jit::x86_64 {
namespace {

// The last one is no register of BPF's: a constant that was blinded is in it.
constexpr int kRegisters[12] = {Xbyak::Operand::RAX, Xbyak::Operand::RDI, Xbyak::Operand::RSI,
                                Xbyak::Operand::RDX, Xbyak::Operand::RCX, Xbyak::Operand::R8,
                                Xbyak::Operand::RBX, Xbyak::Operand::R13, Xbyak::Operand::R14,
                                Xbyak::Operand::R15, Xbyak::Operand::RBP, Xbyak::Operand::R11};

constexpr size_t kFirstBuffer = 16 << 10;

}  // namespace

Emitter::Emitter(const FixedProgram& program, const Features& features, BlindingKey blinding,
                 const std::vector<bool>& short_jumps)
    : Xbyak::CodeGenerator(kFirstBuffer, Xbyak::AutoGrow),
      program_(program),
      insns_(program.insns()),
      features_(features),
      blinding_(blinding),
      short_jumps_(short_jumps),
      is_target_(insns_.size(), false),
      insn_labels_(insns_.size()),
      subprog_labels_(program.subprogs().size()),
      insn_offsets_(insns_.size() + 1, 0),
      callback_offsets_(program.subprogs().size(), 0) {}

Emitter::Reg64 Emitter::reg64(uint8_t bpf) { return Reg64(kRegisters[bpf]); }

Emitter::Reg32 Emitter::reg32(uint8_t bpf) { return Reg32(kRegisters[bpf]); }

Emitter::Reg Emitter::sized(const Reg64& reg, unsigned bytes) {
  const int index = reg.getIdx();
  switch (bytes) {
    case 1:
      return Xbyak::Reg8(index, index >= 4 && index < 8);  // with REX: sil, dil, bpl
    case 2:
      return Xbyak::Reg16(index);
    case 4:
      return Reg32(index);
    default:
      return reg;
  }
}

void Emitter::emit_program() {
  mark_jump_targets();
  plan_program();
  emit_entry();
  emit_callback_entries();
  for (size_t n = 0; n < program_.subprogs().size(); ++n) emit_subprog(n);
  if (counts_) emit_renew();
  insn_offsets_.back() = static_cast<uint32_t>(getSize());
  UARENA_ASSERT(!hasUndefinedLabel(), "program {}: a jump leads nowhere", program_.name());
  ready(PROTECT_RW);  // fills in the jumps; the buffer is never run and stays what it is
}

CompiledCode Emitter::result() {
  CompiledCode compiled;
  compiled.code.resize(getSize());
  std::memcpy(compiled.code.data(), getCode(), getSize());
  compiled.entries = std::move(entries_);
  compiled.insn_offsets = std::move(insn_offsets_);
  compiled.callback_offsets = std::move(callback_offsets_);
  compiled.frames = std::move(frames_);
  compiled.entered_from = entered_from_;
  return compiled;
}

void Emitter::mark_jump_targets() {
  for (size_t at = 0; at < insns_.size(); ++at) {
    const uint8_t code = insns_[at].code;
    if (is_ld_imm64(insns_[at])) {
      ++at;
      continue;
    }
    const bool jumps = insn_class(code) == kJmp || insn_class(code) == kJmp32;
    if (!jumps || insn_op(code) == kCall || insn_op(code) == kExit) continue;
    const size_t target = jump_target(at);
    UARENA_ASSERT(target < insns_.size(), "program {}: instruction {} jumps to {} of {}",
                  program_.name(), at, target, insns_.size());
    is_target_[target] = true;
  }
}

// What kind of loops and functions there are, in the whole program.
void Emitter::plan_program() {
  may_end_ = std::ranges::any_of(
      program_.functions(), [](const FunctionDesc* function) { return may_end_run(*function); });
  for (size_t at = 0; at < insns_.size() && !may_end_; ++at)
    may_end_ = program_.counts_at(at) || is_call_by_number(insns_[at]);
  may_end_ = may_end_ || std::ranges::any_of(program_.subprogs(), &FixedSubprog::has_may_goto);
  counts_ = may_end_;
}

void Emitter::emit_subprog(size_t index) {
  const FixedSubprog& subprog = program_.subprogs()[index];
  plan_frame(subprog);
  L(subprog_labels_[index]);
  insn_offsets_[subprog.start] = static_cast<uint32_t>(getSize());
  emit_prologue(subprog);
  for (size_t at = subprog.start; at < subprog.start + subprog.count; ++at) {
    // The prologue belongs to the first instruction.
    if (at != subprog.start) insn_offsets_[at] = static_cast<uint32_t>(getSize());
    if (is_target_[at]) L(insn_labels_[at]);
    if (program_.counts_at(at)) emit_turn(at);
    size_t done = emit_combined(at);
    if (done == 0) {
      emit_insn(at);
      done = is_ld_imm64(insns_[at]) ? 2 : 1;
    }
    // What belongs together begins together.
    for (; done > 1; --done, ++at) insn_offsets_[at + 1] = insn_offsets_[at];
  }
  emit_slow_paths();
}

void Emitter::plan_frame(const FixedSubprog& subprog) {
  bool others_count = false;
  bool uses[11] = {};
  for (size_t at = subprog.start; at < subprog.start + subprog.count; ++at) {
    const Insn& insn = insns_[at];
    if (is_pseudo_call(insn) || program_.counts_at(at)) others_count = true;
    if (is_kfunc_call(insn) && may_end_run(*program_.functions()[static_cast<size_t>(insn.imm)]))
      others_count = true;
    if (insn.dst <= 10) uses[insn.dst] = true;
    if (insn.src <= 10) uses[insn.src] = true;
  }
  saved_.clear();
  for (uint8_t bpf = 6; bpf <= 9; ++bpf) {
    if (uses[bpf]) saved_.push_back(reg64(bpf));
  }
  stack_bytes_ = subprog.stack_bytes;
  frame_bytes_ = static_cast<int>(subprog.stack_bytes);
  may_goto_slot_ = subprog.has_may_goto ? frame_bytes_ += int{sizeof(MayGoto)} : 0;
  own_count_ = subprog.has_may_goto && others_count;
  // After the return address, the RunContext* and rbp 8 bytes are missing to alignment.
  if ((frame_bytes_ + 8 * static_cast<int>(saved_.size())) % 16 != 8) frame_bytes_ += 8;
  FrameLayout& layout = frames_.emplace_back();
  layout.bytes = static_cast<uint32_t>(frame_bytes_);
  for (const Reg64& reg : saved_) layout.saved_regs.push_back(static_cast<uint8_t>(reg.getIdx()));
}

// xmm0 belongs to nobody here.
void Emitter::emit_zero_stack(int bytes) {
  pxor(xmm0, xmm0);
  int at = bytes;
  for (; at >= 16; at -= 16) movups(xword[rbp - at], xmm0);
  if (at != 0) movq(qword[rbp - at], xmm0);
}

void Emitter::emit_prologue(const FixedSubprog& subprog) {
  push(r11);
  push(rbp);
  mov(rbp, rsp);
  sub(rsp, static_cast<uint32_t>(frame_bytes_));
  for (const Reg64& reg : saved_) push(reg);
  frames_.back().saved_from = static_cast<uint32_t>(getSize());
  if (subprog.zero_stack) emit_zero_stack(static_cast<int>(subprog.stack_bytes));
  if (may_goto_slot_ == 0) return;
  constexpr MayGoto kFresh;
  const int count = may_goto_slot_ - int{offsetof(MayGoto, count)};
  const int started = may_goto_slot_ - int{offsetof(MayGoto, started_ns)};
  if (own_count_) mov(qword[rbp - count], kFresh.count);
  mov(qword[rbp - started], kFresh.started_ns);
}

void Emitter::emit_epilogue() {
  for (const Reg64& reg : saved_ | std::views::reverse) pop(reg);
  leave();
  pop(r11);  // the RunContext*
  ret();
}

void Emitter::emit_insn(size_t at) {
  const Insn insn = blinding_ != 0 ? emit_blinded(at) : insns_[at];
  switch (insn_class(insn.code)) {
    case kAlu:
      return emit_alu(insn, false);
    case kAlu64:
      return emit_alu(insn, true);
    case kLd:
      return emit_ld_imm64(at);
    case kLdx:
      return emit_load(insn);
    case kSt:
      return emit_store_immediate(insn);
    case kStx:
      if (insn_mode(insn.code) == kAtomic || insn_mode(insn.code) == kProbeAtomic)
        return emit_atomic(insn);
      return emit_store(insn);
    default:
      return emit_jump(at, insn);
  }
}

void Emitter::emit_ld_imm64(size_t at) {
  const Reg64 to = reg64(insns_[at].dst);
  const uint64_t value = static_cast<uint32_t>(insns_[at].imm) |
                         uint64_t{static_cast<uint32_t>(insns_[at + 1].imm)} << 32;
  if (blinding_ != 0) return emit_blinded_constant(at, to, value);
  emit_constant(to, value);
}

}  // namespace uarena::jit::x86_64
