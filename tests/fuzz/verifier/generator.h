// Random programs that mostly are right: each instruction is chosen with a light model of what
// registers and stack hold (model.h, body.h), and now and then a mistake is made where verifiers
// are most likely to miss it. What is rejected can be repaired where it was rejected, and what was
// accepted can be changed, so that many programs end up just inside the border.
#pragma once

#include "jit/object.h"
#include "tests/fuzz/random.h"

namespace uarena::fuzz {

// Fills a program of the world (world.h).
void generate(Random& random, jit::ProgramDef& program);

// Puts something harmless in the place of instruction `insn`.
void repair(Random& random, jit::ProgramDef& program, size_t insn);

// A few instructions of the program are changed for others.
void mutate(Random& random, jit::ProgramDef& program);

}  // namespace uarena::fuzz
