// The walk over all paths, depth first. A path ends at the program's exit, or where it meets a
// state that was remembered at the same instruction and allowed at least as much. Loops and
// branches are explored one by one while that is cheap; after that states are joined: where a loop
// comes back, and where branches meet. A loop that was not walked to its end gets a budget
// (InsnFacts).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "jit/verifier/analysis.h"
#include "jit/verifier/observe.h"

namespace uarena::jit::verifier {

struct Limits {
  uint64_t insns = 1'000'000;   // instructions walked
  unsigned loop_passes = 0;     // that are walked one by one before a loop is widened
  unsigned bounded_passes = 0;  // the same of loops that end by themselves: may_goto, iterators
  unsigned states = 0;          // that are walked from where branches meet before they are joined
  int log_level = 0;
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  const std::atomic<bool>* cancelled = nullptr;
  StateSink* sink = nullptr;
};

// How much was walked and kept, as the kernel counts it.
struct Statistics {
  uint64_t insns = 0;
  size_t max_states_per_insn = 0;
  size_t total_states = 0;
  size_t peak_states = 0;
};

struct Outcome {
  Checked<> verdict;
  Findings found;
  Statistics statistics;
  bool widened = false;        // somewhere; a walk with more patience may see more
  std::vector<uint32_t> path;  // to the fault: instructions, oldest first
  std::string last_state;      // at the fault
  std::string log;             // level 2: everything walked; level 1: the path to the fault
};

// The program itself, then each global function and each timer callback that was found on the way.
Outcome explore(const Subject& subject, const Limits& limits);

}  // namespace uarena::jit::verifier
