// States and instructions as text, in the notation of the kernel's verifier log, so that who can
// read the one can read the other: "R2=scalar(smin=0,smax=umax=63,var_off=(0x0; 0x3f))",
// "fp-8=mmmm????", "(07) r1 += -8".
#pragma once

#include <string>

#include "jit/object.h"
#include "jit/verifier/state.h"

namespace uarena::jit::verifier {

// As the kernel names it in "R1 type=scalar expected=fp".
std::string type_name(const Reg& reg);

// `frame` is the one that is printed: pointers into others name theirs.
std::string to_string(const Reg& reg, const Object& object, size_t frame);
// " R0=… R10=fp0 fp-8=… refs=1": what is known of one frame, with its number when it is a callee's.
std::string to_string(const State& state, size_t frame, const Object& object);
// Of the running frame.
std::string to_string(const State& state, const Object& object);

// The parts of it, for a log that prints what changed.
std::string frame_label(size_t frame);
std::string refs_text(const State& state);
// "fp-8=…" without the place; empty when nothing is known of the slot.
std::string to_string(const Slot& slot, const State& state, size_t frame, const Object& object);

// "(85) call bpf_loop#181".
std::string insn_text(const Object& object, const ProgramDef& program, size_t at);
// The source line in the kernel's form, "text @ file.c:12"; empty when there is none.
std::string line_text(const LineInfo* line);

}  // namespace uarena::jit::verifier
