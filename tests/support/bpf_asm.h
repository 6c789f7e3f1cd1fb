// A small assembler, so that tests say programs as text: the disassembler's own form (jit/isa.h),
// plus labels. One instruction per line; "#", "//" and ";" start a comment; "name:" is a label, and
// wherever the disassembler prints pc+N a label may stand. "raw CODE DST SRC OFF IMM" is any
// instruction, valid or not. A 64-bit constant takes two slots, as in the machine form.
// "r1 = func LABEL" is the address of a function.
//
//   r1 = 0x10 ll
//   again:
//   if r1 == 0 goto done
//   may_goto done
//   r1 += -1
//   goto again
//   done:
//   r0 = 0
//   exit
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/base/result.h"
#include "jit/isa.h"

namespace uarena::test {

struct Assembly {
  std::vector<jit::Insn> insns;
  std::map<std::string, size_t> labels;  // index of the instruction after the label
  std::vector<size_t> lines;             // per instruction: its line in the text, from 1
};

// Errors name the line.
Result<Assembly> assemble(std::string_view text);

// For tests that know their text is right: prints the error and aborts otherwise.
std::vector<jit::Insn> assemble_or_die(std::string_view text);

}  // namespace uarena::test
