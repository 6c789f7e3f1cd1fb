// Who wants to know what the verifier believes: called with each state just before an instruction
// is walked with it. A program that runs is, before each of its instructions, in one of the states
// that were walked there along the same chain of calls (the walk leaves out only what such a state
// holds already). The soundness fuzzer checks exactly this; nobody else listens.
#pragma once

#include <cstddef>

namespace uarena::jit::verifier {

struct State;

class StateSink {
 public:
  virtual ~StateSink() = default;
  // A walk of the whole program begins. What an earlier one said counts no more.
  virtual void restart() = 0;
  virtual void walk(size_t insn, const State& state) = 0;
};

}  // namespace uarena::jit::verifier
