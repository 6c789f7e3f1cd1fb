// A generated program as text, so that a finding can be read, and changed by hand:
//
//   data 17                      the seed of the bytes that it runs on
//   type xdp                     its section; syscall where nothing is said
//   sub fuzz 2                   a subprogram of two instructions
//   0xb7 0 0 0 7                 code, dst, src, off, imm; behind '#' what it means
//   0x95 0 0 0 0
//   sub other 9 memory:16 scalar a global subprogram with its parameters
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "jit/object.h"

namespace uarena::fuzz {

struct Input {
  jit::ProgramDef program;
  uint64_t data = 0;
};

std::string to_text(const Input& input);
// Nothing: not such a text.
std::optional<Input> from_text(std::string_view text);

}  // namespace uarena::fuzz
