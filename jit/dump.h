// Programs as text for people, with the source lines in between. What `uarena prog dump xlated`
// shows; the lines are shared with the native dump.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "jit/program.h"

namespace uarena::jit {

// The fixed-up instructions, one a line.
std::string dump_xlated(const FixedProgram& program);

// Where an instruction is, for messages: "insn 12 (list.bpf.c:40: while (n))".
std::string place_of(const FixedProgram& program, uint32_t insn);

// Gives the header of each subprogram and the source lines, each once, as a walk over the
// instructions comes to them.
class Annotations {
 public:
  explicit Annotations(const FixedProgram& program) : program_(program) {}
  // What stands before instruction `insn`: "name:\n", "; file:line text\n" or nothing. To be asked
  // with ascending indices.
  std::string before(size_t insn);

 private:
  const FixedProgram& program_;
  size_t next_line_ = 0;
  size_t next_subprog_ = 0;
};

}  // namespace uarena::jit
