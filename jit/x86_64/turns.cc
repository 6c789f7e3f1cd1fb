// Counting turns (jit/turns.h), the way in, and the way out of a run that ends in the middle.
//
// A turn costs one decrement of r9. What happens when it reaches zero is behind the subprogram: the
// registers are kept, C looks at the clock, and the loop goes on, goes to its may_goto's target, or
// the run is left.
#include "jit/x86_64/emitter.h"

namespace uarena::jit::x86_64 {

Xbyak::Address Emitter::in_run(const Reg64& run, size_t offset) const {
  return qword[run + offset];
}

// C calls this; the program proper is the first subprogram. R1..R5 are in place, r9 is the run.
void Emitter::emit_entry() {
  const Reg64 saved[] = {rbp, rbx, r12, r13, r14, r15};
  const size_t leave_sp = offsetof(RunContext, leave_sp);
  const size_t turns_left = offsetof(RunContext, turns_left);

  lea(r10, ptr[rip + subprog_labels_[0]]);
  L(enter_label_);
  for (const Reg64& reg : saved) push(reg);
  push(r9);                    // only for alignment: ten words with the return address
  push(in_run(r9, leave_sp));  // of an entry further out
  push(r9);
  entered_from_ = static_cast<uint32_t>(getSize());
  mov(in_run(r9, leave_sp), rsp);
  mov(r11, r9);
  if (counts_) mov(r9, in_run(r11, turns_left));
  if (program_.uses_arena()) emit_constant(r12, program_.arena().kern_vm_start);
  call(r10);

  Xbyak::Label out;
  L(out);
  pop(r11);
  if (counts_) mov(in_run(r11, turns_left), r9);
  pop(in_run(r11, leave_sp));
  pop(r11);
  for (size_t n = std::size(saved); n-- > 0;) pop(saved[n]);
  ret();

  if (!may_end_) return;
  L(leave_label_);
  mov(r10, qword[rbp + kRunSlot]);
  mov(rsp, in_run(r10, leave_sp));
  jmp(out);
}

void Emitter::emit_callback_entries() {
  for (size_t n = 0; n < program_.subprogs().size(); ++n) {
    if (!program_.subprogs()[n].is_callback) continue;
    callback_offsets_[n] = static_cast<uint32_t>(getSize());
    lea(r10, ptr[rip + subprog_labels_[n]]);
    jmp(enter_label_);
  }
}

Emitter::SlowPath& Emitter::add_slow_path(SlowPath::Kind kind, size_t at) {
  SlowPath& slow = slow_paths_.emplace_back();
  slow.kind = kind;
  slow.insn = at;
  return slow;
}

void Emitter::emit_turn(size_t at) {
  SlowPath& slow = add_slow_path(SlowPath::Kind::turns, at);
  dec(r9);
  jz(slow.entry, T_NEAR);
  L(slow.resume);
}

void Emitter::emit_may_goto(size_t at) {
  SlowPath& slow = add_slow_path(SlowPath::Kind::may_goto, at);
  if (own_count_) {
    dec(qword[rbp - (may_goto_slot_ - int{offsetof(MayGoto, count)})]);
    jz(slow.entry, T_NEAR);
  }
  dec(r9);
  jz(slow.entry, T_NEAR);
  L(slow.resume);
}

// After a function that may have ended the run; r10 is the RunContext*.
void Emitter::emit_check_ended(size_t at) {
  SlowPath& slow = add_slow_path(SlowPath::Kind::ended, at);
  cmp(byte[r10 + offsetof(RunContext, ended)], 0);
  jnz(slow.entry, T_NEAR);
}

void Emitter::emit_slow_paths() {
  for (SlowPath& slow : slow_paths_) emit_slow_path(slow);
  slow_paths_.clear();
}

void Emitter::emit_slow_path(SlowPath& slow) {
  L(slow.entry);
  switch (slow.kind) {
    case SlowPath::Kind::turns:
      mov(r10d, static_cast<uint32_t>(slow.insn));
      mov(r11, reinterpret_cast<uint64_t>(&renew_turns));
      call(renew_label_);
      jnz(slow.resume, T_NEAR);
      return jmp(leave_label_, T_NEAR);
    case SlowPath::Kind::may_goto:
      lea(r10, ptr[rbp - may_goto_slot_]);
      mov(r11, reinterpret_cast<uint64_t>(own_count_ ? &renew_may_goto : &renew_shared_may_goto));
      call(renew_label_);
      jnz(slow.resume, T_NEAR);
      mov(r10, qword[rbp + kRunSlot]);
      cmp(byte[r10 + offsetof(RunContext, ended)], 0);
      jnz(slow.leave, T_NEAR);
      emit_note_place(offsetof(RunContext, may_goto_at), slow.insn);
      jmp(insn_labels_[jump_target(slow.insn)], T_NEAR);
      L(slow.leave);
      return emit_leave_here(slow.insn);
    case SlowPath::Kind::no_function:
      mov(r10, qword[rbp + kRunSlot]);
      mov(byte[r10 + offsetof(RunContext, ended)], 1);
      return emit_leave_here(slow.insn);
    case SlowPath::Kind::ended:
      return emit_leave_here(slow.insn);
  }
}

// Into a member of the run, r10, unless a place is there.
void Emitter::emit_note_place(size_t member, size_t at) {
  const Xbyak::Address where = dword[r10 + member];
  Xbyak::Label noted;
  cmp(where, RunContext::kNowhere);
  jnz(noted);
  mov(where, static_cast<uint32_t>(at));
  L(noted);
}

// Whoever ended the run, r10, may know nothing of where that was.
void Emitter::emit_leave_here(size_t at) {
  emit_note_place(offsetof(RunContext, ended_at), at);
  jmp(leave_label_, T_NEAR);
}

// Calls r11(r10, run), a RenewFn, and keeps every register but r9, which is loaded anew; the answer
// is in the zero flag, which popping and moving do not change. Called from aligned code, so after
// the return address and seven words the stack is aligned again.
void Emitter::emit_renew() {
  const Reg64 kept[] = {rax, rdi, rsi, rdx, rcx, r8};
  L(renew_label_);
  for (const Reg64& reg : kept) push(reg);
  mov(rsi, qword[rbp + kRunSlot]);
  push(rsi);
  mov(in_run(rsi, offsetof(RunContext, turns_left)), r9);
  mov(rdi, r10);
  call(r11);
  test(al, al);
  pop(r10);
  mov(r9, in_run(r10, offsetof(RunContext, turns_left)));
  for (size_t n = std::size(kept); n-- > 0;) pop(kept[n]);
  ret();
}

}  // namespace uarena::jit::x86_64
