// Where paths come back to. Every circle of a program's control flow passes one of these
// instructions, so a walk that settles there comes to an end, and a count that is kept there ends
// every loop. A loop that passes a may_goto or the next() of an iterator settles there, and its
// head needs nothing of its own.
#pragma once

#include <vector>

#include "jit/function.h"
#include "jit/object.h"
#include "jit/verifier/cfg.h"

namespace uarena::jit::verifier {

enum class Repeat : uint8_t {
  none,
  head,      // of a loop of which nothing says that it ends
  may_goto,  // ends by itself
  call,      // next() of an iterator, or a function that runs a callback again and again
};

// Per instruction.
std::vector<Repeat> find_repeats(const ProgramDef& program, const Cfg& cfg,
                                 const CallTable& functions);

}  // namespace uarena::jit::verifier
