// Strongly connected parts (Tarjan) of the control flow without the instructions that settle loops
// anyway; what is left of circles lies inside one part, and where a jump back enters it is a head.
// Iterative, since the length of a program is the object's choice.
#include "jit/verifier/loops.h"

#include <algorithm>

namespace uarena::jit::verifier {
namespace {

bool jumps_only(const Insn& i) { return i.code == (kJmp | kJa) || i.code == (kJmp32 | kJa); }
bool jumps(const Insn& i) {
  const uint8_t cls = insn_class(i.code), op = insn_op(i.code);
  return (cls == kJmp || cls == kJmp32) && op != kCall && op != kExit;
}

class Parts {
 public:
  Parts(const ProgramDef& program, const std::vector<Repeat>& repeats)
      : program_(program),
        repeats_(repeats),
        part_(program.insns.size()),
        order_(program.insns.size()),
        lowest_(program.insns.size()) {}

  void find() {
    for (size_t at = 0; at < order_.size(); ++at)
      if (order_[at] == 0 && repeats_[at] == Repeat::none) visit(at);
  }
  // Whether a jump from `from` to `to` closes a circle.
  bool together(size_t from, size_t to) const {
    return part_[from] != 0 && part_[from] == part_[to];
  }

 private:
  struct Visit {
    size_t at;
    unsigned next;  // of at most two successors
  };

  // The n-th instruction that may follow; none: SIZE_MAX.
  size_t successor(size_t at, unsigned n) const {
    const Insn& i = program_.insns[at];
    size_t to = SIZE_MAX;
    if (n == 0 && jumps(i)) to = jump_target(program_, at);
    if (n == 1 && !jumps_only(i) && i.code != (kJmp | kExit)) to = at + (is_ld_imm64(i) ? 2 : 1);
    return to < repeats_.size() && repeats_[to] == Repeat::none ? to : SIZE_MAX;
  }

  void enter(size_t at) {
    order_[at] = lowest_[at] = ++count_;
    open_.push_back(at);
    visits_.push_back({at, 0});
  }

  void visit(size_t root) {
    enter(root);
    while (!visits_.empty()) {
      Visit& v = visits_.back();
      if (v.next < 2) {
        const size_t to = successor(v.at, v.next++);
        if (to == SIZE_MAX) continue;
        if (order_[to] == 0)
          enter(to);
        else if (part_[to] == 0)
          lowest_[v.at] = std::min(lowest_[v.at], order_[to]);
        continue;
      }
      leave(v.at);
    }
  }

  void leave(size_t at) {
    visits_.pop_back();
    if (!visits_.empty())
      lowest_[visits_.back().at] = std::min(lowest_[visits_.back().at], lowest_[at]);
    if (lowest_[at] != order_[at]) return;
    for (size_t member = SIZE_MAX; member != at;) {
      member = open_.back();
      open_.pop_back();
      part_[member] = order_[at];
    }
  }

  const ProgramDef& program_;
  const std::vector<Repeat>& repeats_;
  std::vector<uint32_t> part_;  // 0: not known yet
  std::vector<uint32_t> order_;
  std::vector<uint32_t> lowest_;
  std::vector<size_t> open_;
  std::vector<Visit> visits_;
  uint32_t count_ = 0;
};

bool repeats_itself(const FunctionDesc* function) {
  return function != nullptr &&
         (function->effect == Effect::iter_next || function->effect == Effect::calls_back ||
          function->effect == Effect::for_each);
}

Repeat of_itself(const Insn& i, const CallTable& functions) {
  if (is_may_goto(i)) return Repeat::may_goto;
  if (is_helper_call(i) && repeats_itself(functions.helper(i.imm))) return Repeat::call;
  if (is_kfunc_call(i) && repeats_itself(functions.kfunc(i.imm))) return Repeat::call;
  return Repeat::none;
}

}  // namespace

std::vector<Repeat> find_repeats(const ProgramDef& program, const Cfg& cfg,
                                 const CallTable& functions) {
  std::vector<Repeat> repeats(program.insns.size(), Repeat::none);
  for (size_t at = 0; at < repeats.size(); ++at)
    if (!cfg.second_half[at]) repeats[at] = of_itself(program.insns[at], functions);
  Parts parts(program, repeats);
  parts.find();
  for (size_t at = 0; at < repeats.size(); ++at) {
    if (cfg.second_half[at] || !jumps(program.insns[at])) continue;
    const size_t to = jump_target(program, at);
    if (to <= at && repeats[to] == Repeat::none && parts.together(at, to))
      repeats[to] = Repeat::head;
  }
  return repeats;
}

}  // namespace uarena::jit::verifier
