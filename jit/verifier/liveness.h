// Which registers and stack slots an instruction's future can still read. What is dead does not
// matter when two states are compared, which is what lets most paths be cut off early.
#pragma once

#include <cstdint>
#include <vector>

#include "jit/object.h"
#include "jit/runtime.h"
#include "jit/verifier/cfg.h"

namespace uarena::jit::verifier {

struct Live {
  uint16_t regs = 0;   // bit n: Rn
  uint64_t slots = 0;  // bit n: bytes [-8(n+1), -8n) of the frame
  friend bool operator==(const Live&, const Live&) = default;
};

// Per instruction: what is live just before it, in the frame of its own subprogram.
std::vector<Live> compute_liveness(const ProgramDef& program, const Cfg& cfg,
                                   const CallTable& kfuncs);

}  // namespace uarena::jit::verifier
