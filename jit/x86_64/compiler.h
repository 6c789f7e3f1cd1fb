// From a fixed program to x86-64 machine code: one template per instruction, registers mapped one
// to one (emitter.h). The code is position-independent, so it may be placed anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ipc/base/result.h"
#include "jit/exception_table.h"
#include "jit/program.h"

namespace uarena::jit::x86_64 {

// Entries have the C signature of a HelperFn: R1..R5, then the run. The program's is at offset 0.
struct CompiledCode {
  std::vector<std::byte> code;
  std::vector<ExceptionEntry> entries;  // one per arena access
  std::vector<uint32_t> insn_offsets;   // where each instruction's code begins
  // Entries of the subprograms that are callbacks; 0 for the others.
  std::vector<uint32_t> callback_offsets;
};

// What the compiler may use of the CPU. Tests switch things off to reach every template.
struct Features {
  bool bmi2 = false;
  static Features of_this_cpu();
};

// Constants of the program are not in its code as they are (blinding.cc): a key, which nobody can
// guess; 0: they stand as they are.
using BlindingKey = uint64_t;
BlindingKey new_blinding_key();

// ENOMEM when there is no memory to emit into.
Result<CompiledCode> compile(const FixedProgram& program,
                             const Features& features = Features::of_this_cpu(),
                             BlindingKey blinding = 0);

}  // namespace uarena::jit::x86_64
