// All that is asked of one program: is it accepted, and if so, does it keep to what the verifier
// believed (oracle.h)? And does anybody outside see something that depends on addresses or on
// memory that was never written? Two runs on the same bytes at other addresses, with other garbage
// where nothing may be read, must give the same; so must the compiled code.
#pragma once

#include <cstdint>
#include <string>

#include "jit/object.h"

namespace uarena::fuzz {

struct Outcome {
  bool accepted = false;
  size_t rejected_at = 0;  // the instruction; where it was not accepted
  uint64_t insns = 0;      // that ran
  std::string finding;     // empty: all is well
};

// `object` is the world (world.h) with a program; `seed` is of the bytes that it runs on.
Outcome check_program(const jit::Object& object, uint64_t seed);

}  // namespace uarena::fuzz
