// The form of a static exception entry, shared by the inline assembly that writes it and the
// handler that reads it. Positions are relative to the field itself, so that the section needs no
// relocation in a position-independent program and stays read-only.
#pragma once

#include <cstdint>

namespace uarena::jit {

struct StaticEntry {
  int32_t insn;
  int32_t resume;
  uint32_t zero;  // number of the register to clear, or kNoRegister

  uint64_t insn_address() const { return absolute(insn); }
  uint64_t resume_address() const { return absolute(resume); }

 private:
  static uint64_t absolute(const int32_t& field) {
    return reinterpret_cast<uint64_t>(&field) + static_cast<uint64_t>(int64_t{field});
  }
};
static_assert(sizeof(StaticEntry) == 12);

// Bounds of the section, defined by the linker.
extern "C" const StaticEntry __start_uarena_extable[] __attribute__((weak));
extern "C" const StaticEntry __stop_uarena_extable[] __attribute__((weak));

}  // namespace uarena::jit

// Inside an asm statement: the instruction at label 1 may fault; execution goes on at label 2 with
// register number `zero` cleared. RDX must hold kern_vm_start.
#define UARENA_FAULT_ENTRY(zero)         \
  ".pushsection uarena_extable, \"a\"\n" \
  ".balign 4\n"                          \
  ".long 1b - .\n"                       \
  ".long 2b - .\n"                       \
  ".long " #zero                         \
  "\n"                                   \
  ".popsection\n"
