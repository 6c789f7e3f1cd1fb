// Machine code as text: what `uarena prog dump jited` shows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "jit/program.h"

namespace uarena::jit::x86_64 {

// One line per machine instruction with its offset, names of subprograms and source lines in
// between. `insn_offsets` as in CompiledCode.
std::string list_code(const FixedProgram& program, std::span<const std::byte> code,
                      const std::vector<uint32_t>& insn_offsets);

}  // namespace uarena::jit::x86_64
