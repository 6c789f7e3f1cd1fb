// Compiled code without an engine around it, for tests that switch features of the CPU off.
#pragma once

#include "jit/exec_memory.h"
#include "jit/function.h"

namespace uarena::jit {

inline uint64_t run_code(const ExecBlock& block, RunContext* run) {
  return reinterpret_cast<HelperFn>(reinterpret_cast<uintptr_t>(block.code()))(0, 0, 0, 0, 0, run);
}

}  // namespace uarena::jit
