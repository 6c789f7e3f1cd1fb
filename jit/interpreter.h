// Runs a fixed program instruction by instruction: the reference against which the compiler and,
// through fuzzers, the verifier are checked. Made to be read, not to be fast.
#pragma once

#include <memory>

#include "jit/engine.h"

namespace uarena::jit {

std::unique_ptr<Executable> make_interpreter(FixedProgram program);

}  // namespace uarena::jit
