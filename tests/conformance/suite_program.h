// What a conformance suite hands over: instructions that use the plain instruction set, without
// maps, functions or an arena, and which no verifier of ours would know what to do with (RFC 9669
// gives a meaning to a shift by 200 and to a division by the constant zero, and suites test that).
// It is checked here for what the executors rely on, and becomes a program that calls it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "ipc/base/result.h"
#include "jit/engine.h"

namespace uarena::conformance {

struct SuiteProgram {
  std::vector<jit::Insn> insns;
  size_t entry = 0;  // the instruction where it begins
};

// Eight bytes per instruction.
Result<SuiteProgram> program_of_bytes(std::span<const std::byte> bytes);

// The code of a relocatable BPF object: its section .text, from the symbol `main`.
Result<SuiteProgram> program_of_elf(std::span<const std::byte> image);

// R1 = `memory`, R2 = its length; both 0 without. Helper 5 returns its first argument, and is the
// only one. `memory` outlives the program.
Result<std::unique_ptr<jit::Executable>> make_executable(const SuiteProgram& program,
                                                         std::span<std::byte> memory,
                                                         jit::Mode mode);

}  // namespace uarena::conformance
