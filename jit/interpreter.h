// Runs a fixed program instruction by instruction: the reference against which the compiler and,
// through fuzzers, the verifier are checked. Made to be read, not to be fast.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "jit/engine.h"

namespace uarena::jit {

// Watches a run from inside, for the verifier's soundness fuzzer. What it is given it may change:
// whatever a program must not read can be made to differ from run to run.
class InterpreterObserver {
 public:
  virtual ~InterpreterObserver() = default;
  // A frame begins; its arguments are set afterwards. The spans are valid until left().
  virtual void entered(std::span<uint64_t, 11> regs, std::span<std::byte> stack) = 0;
  virtual void left() = 0;
  // The innermost frame is about to execute instruction `insn`.
  virtual void before(size_t insn, RunContext& run) = 0;
};

// `observer` outlives the program; null: nobody watches.
std::unique_ptr<Executable> make_interpreter(FixedProgram program,
                                             InterpreterObserver* observer = nullptr);

}  // namespace uarena::jit
