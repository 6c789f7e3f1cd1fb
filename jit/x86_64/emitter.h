// One pass over a program that emits its code. The map of registers is the kernel's, so that BPF
// calls and C calls agree:
//
//   R0 rax   R1 rdi   R2 rsi   R3 rdx   R4 rcx   R5 r8      results and arguments, caller-saved
//   R6 rbx   R7 r13   R8 r14   R9 r15                       callee-saved
//   R10 rbp                                                 top of the frame's BPF stack
//   r12  kern_vm_start, loaded at entry, never changed
//   r9   turns left (turns.h), where the program counts any; the sixth argument of a C function
//   r10, r11  scratch within one template; r11 hands the RunContext* to a subprogram
//
// A frame: the return address, the RunContext* at [rbp + 8] (where the fault handler finds it,
// too), the caller's rbp at [rbp], then downwards the BPF stack (stack_bytes), MayGoto where the
// subprogram has may_goto, the callee-saved registers that it uses. Between templates rsp is
// 16-byte aligned; nothing lies below it.
//
// An entry saves every callee-saved register and leaves its stack pointer in RunContext::leave_sp.
// So a run that ends in the middle is back in the entry by loading that, however deep it was; the
// functions that were entered on the way have their registers from there. C functions on the stack
// between two entries return by themselves: the inner entry returns to them.
//
// Templates are in arithmetic.cc, memory.cc and control.cc; combine.cc has those for several
// instructions together, and blinding.cc takes constants out of them.
#pragma once

#include <xbyak/xbyak.h>

#include <cstdint>
#include <deque>
#include <vector>

#include "jit/turns.h"
#include "jit/x86_64/compiler.h"

namespace uarena::jit::x86_64 {

class Emitter : private Xbyak::CodeGenerator {
 public:
  // short_jumps: per instruction, whether its forward jump fits 8 bits.
  Emitter(const FixedProgram& program, const Features& features, BlindingKey blinding,
          const std::vector<bool>& short_jumps);

  void emit_program();
  // Adds the forward jumps that this pass's layout shows to be short.
  void find_short_jumps(std::vector<bool>* short_jumps) const;
  CompiledCode result();

 private:
  using Reg = Xbyak::Reg;
  using Reg32 = Xbyak::Reg32;
  using Reg64 = Xbyak::Reg64;

  // What is rare continues behind its subprogram: a count that ran out, and a function after which
  // the run has ended.
  struct SlowPath {
    enum class Kind { turns, may_goto, ended, no_function };
    Kind kind = Kind::turns;
    size_t insn = 0;
    Xbyak::Label entry;
    Xbyak::Label resume;
  };

  // emitter.cc
  void plan_program();
  void emit_subprog(size_t index);
  void emit_insn(size_t at);
  void emit_prologue(const FixedSubprog& subprog);
  void emit_zero_stack(int bytes);
  void emit_epilogue();
  void plan_frame(const FixedSubprog& subprog);
  void mark_jump_targets();

  // arithmetic.cc
  void emit_alu(const Insn& insn, bool wide);
  void emit_move(const Insn& insn, bool wide);
  void emit_cast_user(const Insn& insn);
  void emit_shift(const Insn& insn, bool wide);
  void emit_shift_by_register(uint8_t op, const Reg64& value, const Reg64& count, bool wide);
  void emit_byte_order(const Insn& insn, bool wide);
  void emit_divide(const Insn& insn, bool wide);
  bool emit_divide_by_constant(const Insn& insn, bool wide);
  void emit_division(const Reg64& value, bool wide, bool is_signed, bool want_remainder);
  void emit_constant(const Reg64& to, uint64_t value);

  // combine.cc
  size_t emit_combined(size_t at);  // how many instructions that were; 0: none
  bool emit_rotation(size_t at);
  bool emit_three_operands(size_t at);
  bool emit_extension(size_t at);
  size_t straight_from(size_t at, size_t most) const;
  bool is_overwritten(uint8_t reg, size_t from) const;

  // memory.cc
  Xbyak::Address operand_at(unsigned bytes, uint8_t base, int16_t off, bool arena) const;
  void emit_load(const Insn& insn);
  void emit_store(const Insn& insn);
  void emit_store_immediate(const Insn& insn);
  void emit_atomic(const Insn& insn);
  void emit_locked(const Insn& insn, const Xbyak::Address& target, const Reg& source);
  void emit_fetch_loop(const Insn& insn, bool arena);
  // Runs `emit`, whose one instruction accesses memory; in the arena it gets an entry.
  template <typename Emit>
  void access(bool arena, uint8_t zero, Emit emit);

  // control.cc
  void emit_jump(size_t at, const Insn& insn);
  void emit_compare(const Insn& insn, bool wide);
  void emit_conditional(uint8_t op, const Xbyak::Label& target, LabelType type);
  void emit_call(size_t at);
  void emit_ld_imm64(size_t at);
  void emit_function_call(size_t at, const FunctionDesc& function);
  void emit_call_by_number(size_t at);
  void emit_call_rax();
  size_t jump_target(size_t at) const;
  LabelType jump_type(size_t at, size_t target) const;

  // blinding.cc
  Insn emit_blinded(size_t at);
  void emit_blinded_constant(size_t at, const Reg64& to, uint64_t value);
  uint64_t key_of(size_t at) const;

  // turns.cc
  void emit_entry();
  void emit_callback_entries();
  void emit_turn(size_t at);
  void emit_may_goto(size_t at);
  void emit_check_ended(size_t at);
  void emit_leave_here(size_t at);
  SlowPath& add_slow_path(SlowPath::Kind kind, size_t at);
  void emit_slow_paths();
  void emit_slow_path(SlowPath& slow);
  void emit_renew();
  Xbyak::Address in_run(const Reg64& run, size_t offset) const;

  static constexpr int kRunSlot = 8;  // RunContext* at [rbp + 8]

  static Reg64 reg64(uint8_t bpf);
  static Reg32 reg32(uint8_t bpf);
  static Reg sized(const Reg64& reg, unsigned bytes);
  static Reg full(uint8_t bpf, bool wide) { return sized(reg64(bpf), wide ? 8 : 4); }

  const FixedProgram& program_;
  const std::vector<Insn>& insns_;
  Features features_;
  BlindingKey blinding_;
  const std::vector<bool>& short_jumps_;

  std::vector<bool> is_target_;
  std::vector<Xbyak::Label> insn_labels_;     // of jump targets
  std::vector<Xbyak::Label> subprog_labels_;  // before the prologue
  Xbyak::Label enter_label_;                  // r10: the subprogram
  Xbyak::Label leave_label_;                  // from any frame: the run has ended
  Xbyak::Label renew_label_;
  bool counts_ = false;   // r9 holds the turns that are left
  bool may_end_ = false;  // in the middle
  std::vector<uint32_t> insn_offsets_;
  std::vector<uint32_t> callback_offsets_;
  std::vector<FrameLayout> frames_;
  uint32_t entered_from_ = 0;
  std::vector<ExceptionEntry> entries_;

  // The current subprogram.
  std::vector<Reg64> saved_;
  std::deque<SlowPath> slow_paths_;
  uint32_t stack_bytes_ = 0;
  int frame_bytes_ = 0;     // below rbp, without the saved registers
  int may_goto_slot_ = 0;   // MayGoto at [rbp - slot]; 0: none
  bool own_count_ = false;  // of may_goto, beside the run's
};

template <typename Emit>
void Emitter::access(bool arena, uint8_t zero, Emit emit) {
  const auto insn = static_cast<uint32_t>(getSize());
  emit();
  if (arena) entries_.push_back({insn, static_cast<uint32_t>(getSize()), zero});
}

}  // namespace uarena::jit::x86_64
