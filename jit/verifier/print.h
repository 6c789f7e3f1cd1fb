// States as text, for logs and messages.
#pragma once

#include <string>

#include "jit/verifier/state.h"

namespace uarena::jit::verifier {

std::string to_string(const Reg& reg);
// Registers and stack of the running frame, and the depth.
std::string to_string(const State& state);

}  // namespace uarena::jit::verifier
