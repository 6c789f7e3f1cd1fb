// The walk over all paths. Depth first; a path ends at the program's exit, or where it meets a
// state whose paths have all been walked and that allowed at least as much. Loops are walked
// iteration by iteration; at a may_goto, which ends every loop at run time (K54), the state is
// widened instead, until it holds all further iterations.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "jit/verifier/analysis.h"

namespace uarena::jit::verifier {

struct Limits {
  uint64_t insns = 1'000'000;  // instructions walked
  unsigned widen_after = 1;    // times that a path passes a may_goto before it is widened there
  int log_level = 0;
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  const std::atomic<bool>* cancelled = nullptr;
};

struct Outcome {
  Checked<> verdict;
  Findings found;
  uint64_t insns = 0;
  bool widened = false;        // somewhere; a walk with a higher widen_after may see more
  std::vector<uint32_t> path;  // to the fault: instructions, oldest first
  std::string last_state;      // at the fault
  std::string log;             // level 2: everything walked; level 1: the path to the fault
};

// The log's largest size, bytes; what is older is left out.
inline constexpr size_t kMaxLog = size_t{1} << 20;

Outcome explore(const Subject& subject, const Limits& limits);

}  // namespace uarena::jit::verifier
