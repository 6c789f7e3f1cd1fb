// What a debugger or profiler may want to know of compiled code: which function and source line a
// piece of it belongs to, and how frames are laid out. The formats that tools read are made of this
// (dwarf.h, jit_dump.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "jit/program.h"
#include "jit/x86_64/compiler.h"

namespace uarena::jit::debug {

struct Function {
  std::string name;   // "bpf_prog_" and the name in C
  uint32_t from = 0;  // offsets into the code
  uint32_t to = 0;
  x86_64::FrameLayout frame;
};

struct Line {
  uint32_t offset = 0;  // the code from here on
  uint32_t file = 0;    // index into CodeMap::files
  uint32_t number = 0;  // from 1
};

struct CodeMap {
  std::string program;
  std::span<const std::byte> code;
  Function entry;                   // from C, before the program proper
  uint32_t entered_from = 0;        // x86_64::CompiledCode::entered_from
  std::vector<Function> functions;  // the subprograms, ascending
  std::vector<std::string> files;
  std::vector<Line> lines;  // ascending; none twice in a row

  uint64_t address() const { return reinterpret_cast<uint64_t>(code.data()); }
};

// `code`: where it is now. The map refers to it.
CodeMap map_code(const FixedProgram& program, const x86_64::CompiledCode& compiled,
                 std::span<const std::byte> code);

}  // namespace uarena::jit::debug
