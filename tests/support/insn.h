// One instruction out of numbers of any width, each cut down to its field.
#pragma once

#include <cstdint>

#include "jit/isa.h"

namespace uarena::test {

inline jit::Insn make_insn(int64_t code, int64_t dst, int64_t src, int64_t off, int64_t imm) {
  jit::Insn insn;
  insn.code = static_cast<uint8_t>(code);
  insn.dst = static_cast<uint8_t>(dst & 15);
  insn.src = static_cast<uint8_t>(src & 15);
  insn.off = static_cast<int16_t>(off);
  insn.imm = static_cast<int32_t>(imm);
  return insn;
}

}  // namespace uarena::test
