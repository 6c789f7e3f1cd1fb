// Instructions that no jump, call or function address leads to from the program's start: an object
// with such a part is not what a compiler made, and the kernel refuses it, too.
#pragma once

#include "jit/verifier/cfg.h"

namespace uarena::jit::verifier {

// Only after check_structure.
Checked<> check_reachable(const ProgramDef& program, const Cfg& cfg);

}  // namespace uarena::jit::verifier
