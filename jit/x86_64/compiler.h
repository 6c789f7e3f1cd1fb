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

// A subprogram's frame, seen from its rbp (emitter.h).
struct FrameLayout {
  uint32_t bytes = 0;               // below rbp, without the saved registers
  std::vector<uint8_t> saved_regs;  // x86 numbers, as they were pushed below that
  uint32_t saved_from = 0;          // offset into the code where all of them are
};

// Entries have the C signature of a HelperFn: R1..R5, then the run. The program's is at offset 0.
struct CompiledCode {
  std::vector<std::byte> code;
  std::vector<ExceptionEntry> entries;  // one per arena access
  std::vector<uint32_t> insn_offsets;   // where each instruction's code begins
  std::vector<FrameLayout> frames;      // per subprogram
  uint32_t entered_from = 0;            // offset where the way in has pushed what it pushes
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
