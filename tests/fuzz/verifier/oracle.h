// The verifier's belief against what happens: before each instruction of an interpreted run, every
// register and every stack slot must lie inside one of the states that the verifier walked at that
// instruction along the same chain of calls. A pointer lies inside when it points to the region
// that the state names, at an offset that the state allows. What a state does not know (uninit) may
// be anything; the run makes it garbage. And every access must stay inside what it may touch.
#pragma once

#include <map>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "jit/interpreter.h"
#include "jit/verifier/observe.h"
#include "jit/verifier/state.h"
#include "tests/fuzz/verifier/world.h"

namespace uarena::fuzz {

// How a state's frames came to be: subprogram, call site, why.
using Calls = std::vector<std::tuple<uint32_t, uint32_t, jit::verifier::Entered>>;

// All states that a verification walked.
class StateRecord final : public jit::verifier::StateSink {
 public:
  using PerInsn = std::unordered_map<size_t, std::vector<jit::verifier::State>>;

  void restart() override;
  void walk(size_t insn, const jit::verifier::State& state) override;
  // nullptr: nothing was walked along these calls.
  const PerInsn* find(const Calls& calls) const;
  // There were more than are kept: nothing can be said.
  bool overflown() const { return count_ > kMost; }

 private:
  // About 100 MiB.
  static constexpr size_t kMost = 40'000;
  std::map<Calls, PerInsn> states_;
  size_t count_ = 0;
};

class Oracle final : public jit::InterpreterObserver {
 public:
  // `poison` is what a program finds where it must not read.
  Oracle(const jit::Object& object, const jit::VerifiedProgram& program, const StateRecord& record,
         Memory& memory, const WorldRun& run, uint64_t poison)
      : object_(object),
        program_(program),
        record_(record),
        memory_(memory),
        run_(run),
        poison_(poison) {}

  void entered(std::span<uint64_t, 11> regs, std::span<std::byte> stack) override;
  void left() override;
  void before(size_t insn, jit::RunContext& run) override;

  // Empty: nothing was wrong.
  const std::string& finding() const { return finding_; }
  uint64_t insns() const { return insns_; }

 private:
  struct Frame {
    std::span<uint64_t, 11> regs;
    std::span<std::byte> stack;
    uint32_t subprog = 0;
    uint32_t call_site = 0;
    jit::verifier::Entered entered = jit::verifier::Entered::called;
    size_t root = 0;  // the frame in which the verifier's walk began
    size_t last = 0;  // the instruction before
    bool fresh = true;
    const StateRecord::PerInsn* states = nullptr;
    uint64_t turns = 0;       // counted by RunContext, and
    uint64_t since_turn = 0;  // how many instructions of this frame's walk ago it was another
    uint64_t top() const { return regs[10]; }
  };
  class Match;

  void begin(size_t insn);
  void check_state(size_t insn);
  void check_end(const jit::RunContext& run);
  void check_access(const jit::Insn& insn);
  void check_call(const jit::Insn& insn);
  void lend(uint64_t address, const jit::Param& param);
  bool is_lock(uint64_t address) const;
  bool may_touch(uint64_t address, uint64_t bytes, bool writes) const;
  bool may_touch_map(uint64_t address, uint64_t bytes, bool writes) const;
  void find(std::string text) {
    if (finding_.empty()) finding_ = std::move(text);
  }

  const jit::Object& object_;
  const jit::VerifiedProgram& program_;
  const StateRecord& record_;
  Memory& memory_;
  const WorldRun& run_;
  const uint64_t poison_;
  std::vector<Frame> frames_;
  // Memory that callers lent to global functions: address, bytes.
  std::vector<std::pair<uint64_t, uint64_t>> lent_;
  std::string finding_;
  uint64_t insns_ = 0;
};

}  // namespace uarena::fuzz
