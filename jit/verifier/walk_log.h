// What the walk did, in the shape of the kernel's log:
//
//   0: R1=ctx() R10=fp0
//   ; int x = ctx->count; @ list.bpf.c:12
//   0: (79) r2 = *(u64 *)(r1 +0)          ; R1=ctx() R2=scalar()
//   1: (15) if r2 == 0x0 goto pc+2        ; R2=scalar(umin=1)
//
// Behind an instruction stands what it touched. Level 1 is the path to the fault: whoever goes back
// to a branch that waits takes the text back to where it forked. Level 2 is everything.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "jit/verifier/analysis.h"

namespace uarena::jit::verifier {

// The log's largest size, bytes; what is older is left out.
inline constexpr size_t kMaxLog = size_t{1} << 20;

class WalkLog {
 public:
  WalkLog(const Subject& subject, int level) : subject_(subject), level_(level) {}

  // A walk of its own begins in function `n` at instruction `at`.
  void begin(uint32_t n, size_t at, const State& state);
  // A path goes on that waited since instruction `from` and the text's end was at `place`.
  void go_back(size_t place, size_t from, size_t at, const State& state);
  // Where the text of the path at hand ends.
  size_t place() const { return dropped_ + text_.size(); }
  // Around one instruction.
  void before(size_t at, const State& state);
  void after(size_t at, size_t next, const State& state);
  // The path ends since its state was walked already.
  void safe(size_t at);
  void widened(const State& state);
  std::string take() { return std::move(text_); }

 private:
  // A frame's registers and slots as text, to see what an instruction changed.
  struct Printed {
    size_t depth = 0;
    std::array<std::string, 11> regs;
    std::vector<std::string> slots;
    std::string refs;
  };
  Printed print(const State& state) const;
  std::string changes(size_t at, const State& state) const;
  void called_global(size_t at, const std::string& changed);
  void frames_changed(size_t next, const State& state);
  void append(std::string_view text);

  const Subject& subject_;
  const int level_;
  std::string text_;
  size_t dropped_ = 0;  // bytes that were left out before it
  Printed before_;
  std::string callee_;              // the state of a frame that is left
  const LineInfo* line_ = nullptr;  // the last one that was shown
};

}  // namespace uarena::jit::verifier
