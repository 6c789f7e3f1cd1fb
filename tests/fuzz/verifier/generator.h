// Random programs that are nearly right: made of small idioms (a checked index, a spill around a
// call, a counted loop, an iterator, a callback), with single instructions that may spoil them in
// between. What is rejected can be repaired where it was rejected, so that many programs end up
// just inside the border.
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
