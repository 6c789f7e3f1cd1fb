// What the walk works on: the program with what was computed of it beforehand, and what is learned
// of its instructions on the way. And the steps: what one instruction does to a state, one function
// per kind of instruction. Each either changes the state or says why the program is not safe.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "jit/program.h"
#include "jit/verifier/cfg.h"
#include "jit/verifier/fault.h"
#include "jit/verifier/liveness.h"
#include "jit/verifier/state.h"

namespace uarena::jit::verifier {

// Fixed during the walk.
struct Subject {
  const Object& object;
  const ProgramDef& program;
  const CallTable& kfuncs;
  uint64_t user_vm_start = 0;
  uint64_t arena_size = 0;
  Cfg cfg;
  std::vector<Live> live;
  std::vector<int64_t> thresholds;  // what the program compares with, ascending

  const Insn& insn(size_t at) const { return program.insns[at]; }
};

// Grows during one walk.
struct Findings {
  std::vector<InsnFacts> facts;
  std::vector<bool> plain_alu;   // ALU64 that also works on something else than an arena pointer
  std::vector<int> stack_depth;  // per subprogram, bytes used below its frame pointer
  uint32_t ctx_size = 0;
  uint32_t last_id = 0;          // of copies of scalars
  uint32_t last_activation = 0;  // of calls

  explicit Findings(const ProgramDef& program)
      : facts(program.insns.size()),
        plain_alu(program.insns.size()),
        stack_depth(program.subprogs.size()) {}
};

struct Walk {
  const Subject& subject;
  Findings& found;
  State& state;
  size_t at;

  const Insn& insn() const { return subject.insn(at); }
  Reg& reg(unsigned n) { return state.regs()[n]; }
  template <typename... Args>
  std::unexpected<Fault> fail(int code, fmt::format_string<Args...> format, Args&&... args) const {
    return fault(at, code, format, std::forward<Args>(args)...);
  }
  // The register was written on this path.
  Checked<> readable(unsigned n) const;
  // Makes copies of a scalar recognisable as such.
  void give_id(Reg& scalar);
};

Checked<> step_alu(Walk& walk);
Checked<> step_constant(Walk& walk);  // ld_imm64
Checked<> step_load(Walk& walk);
Checked<> step_store(Walk& walk);  // ST, STX
Checked<> step_atomic(Walk& walk);

// Calls of kernel functions (K33, K45); helpers are rejected.
Checked<> step_function(Walk& walk);
// Enters a subprogram; the caller goes on at its first instruction.
Checked<> enter_subprog(Walk& walk);
// Leaves the running frame. The value: the instruction after the call, or nothing at the end of the
// program.
Checked<std::optional<size_t>> step_exit(Walk& walk);

// A conditional jump: which ways are possible, and what each teaches.
struct Way {
  bool possible = true;
  bool teaches = false;
  Scalar dst;
  Scalar src;
};
struct Fork {
  Way taken;
  Way fall;
};
Checked<Fork> step_branch(Walk& walk);
void learn(State& state, const Insn& jump, const Way& way);

// For memory.cc and atomic.cc: the bytes that an access through register `n` reaches.
enum class Access { read, write, atomic };
struct Place {
  Region region = Region::none;
  Reg base;        // as it was at the access
  int offset = 0;  // stack: from the frame pointer
};
Checked<Place> check_access(Walk& walk, unsigned n, Access access);
Checked<Reg> read_stack(Walk& walk, const Place& place, unsigned bytes);
Checked<> write_stack(Walk& walk, const Place& place, unsigned bytes, const Reg& value);

}  // namespace uarena::jit::verifier
