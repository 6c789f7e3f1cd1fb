// The same programs verified here and loaded into the live kernel, for measuring. The kernel's
// BPF_PROG_LOAD compiles, too; ours is the verifier alone.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "ipc/base/result.h"

namespace uarena::testing {

// Each call does everything once and returns nanoseconds per unit.
struct VerifyPair {
  std::function<Result<double>()> ours;
  std::function<Result<double>()> kernel;
};

// All programs of an object that are not optional; the unit is one program.
Result<VerifyPair> verify_object(const std::string& path);
// One program of about `insns` instructions: loads, checks, spills and arithmetic, with a branch in
// every twenty. The unit is one instruction.
Result<VerifyPair> verify_generated(uint32_t insns);

}  // namespace uarena::testing
