// What can be checked without knowing any value: every instruction is one that exists, with its
// unused fields zero, and control stays inside the subprogram it started in. Everything after this
// may follow jumps and calls without looking.
#pragma once

#include <cstdint>
#include <vector>

#include "jit/object.h"
#include "jit/verifier/fault.h"

namespace uarena::jit::verifier {

inline constexpr unsigned kMaxFrames = 8;
inline constexpr int kMaxStack = 512;  // bytes, over all frames of a call chain

struct Cfg {
  std::vector<uint32_t> subprog_of;            // per instruction
  std::vector<bool> second_half;               // of an ld_imm64
  std::vector<bool> join_point;                // more than one way leads here
  std::vector<bool> reaches_exit;              // the function may end from here
  std::vector<std::vector<uint32_t>> callees;  // per subprogram, each once
  std::vector<uint32_t> callees_first;         // subprograms, callees before their callers
};

Checked<Cfg> check_structure(const Object& object, const ProgramDef& program);

// Where the jump at `at` goes when taken; `at` must be a jump (not a call or exit).
size_t jump_target(const ProgramDef& program, size_t at);

// The subprogram that the pseudo call at `at` enters. Only after check_structure.
uint32_t call_target(const Cfg& cfg, const ProgramDef& program, size_t at);

// The subprogram whose address the ld_imm64 at `at` (src kPseudoFunc) gives.
uint32_t callback_target(const Cfg& cfg, const ProgramDef& program, size_t at);

// One instruction on its own (opcode, fields, registers). Part of check_structure.
Checked<> check_encoding(const Object& object, const ProgramDef& program, size_t at);

}  // namespace uarena::jit::verifier
