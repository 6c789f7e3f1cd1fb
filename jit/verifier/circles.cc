// Which instructions may lie on a circle that no may_goto counts. A may_goto counts the turns that
// fall through it, and once its time is over it always jumps: a loop that goes round through the
// jump would never end. So the question is asked of the control flow without these fall-throughs.
// Whatever has nothing before it is taken out until nothing more can be, then the same from behind:
// what is left are the circles, and what lies between them.
//
// A circle of a function goes through the functions that it calls, where a may_goto counts anew
// each time: so all of a function that is called from a circle belongs to it. Of callbacks nobody
// knows here who runs them, so they belong to every circle.
#include <algorithm>

#include "jit/verifier/cfg.h"

namespace uarena::jit::verifier {
namespace {

using Ways = std::vector<std::vector<uint32_t>>;  // per instruction

class Circles {
 public:
  Circles(const ProgramDef& program, const Cfg& cfg)
      : program_(program), cfg_(cfg), to_(program.insns.size()), from_(program.insns.size()) {
    for (size_t at = 0; at < program.insns.size(); ++at)
      if (!cfg.second_half[at]) add_ways(at);
  }

  std::vector<bool> find() {
    std::vector<bool> left(program_.insns.size(), true);
    take_out(left, from_, to_);
    take_out(left, to_, from_);
    spread_to_callees(left);
    if (std::ranges::find(left, true) == left.end()) return left;
    for (size_t at = 0; at < left.size(); ++at)
      if (!cfg_.second_half[at] && is_ld_imm64(program_.insns[at]) &&
          program_.insns[at].src == kPseudoFunc)
        mark(left, callback_target(cfg_, program_, at));
    spread_to_callees(left);
    return left;
  }

 private:
  void add(size_t at, size_t next) {
    to_[at].push_back(static_cast<uint32_t>(next));
    from_[next].push_back(static_cast<uint32_t>(at));
  }

  void add_ways(size_t at) {
    const Insn& i = program_.insns[at];
    const uint8_t cls = insn_class(i.code), op = insn_op(i.code);
    const bool control = cls == kJmp || cls == kJmp32;
    if (i.code == (kJmp | kExit)) return;
    if (control && op != kCall) add(at, jump_target(program_, at));
    if (is_may_goto(i) || (control && op == kJa)) return;
    add(at, at + (is_ld_imm64(i) ? 2 : 1));
  }

  void mark(std::vector<bool>& left, uint32_t subprog) const {
    const Subprog& s = program_.subprogs[subprog];
    std::fill_n(left.begin() + s.start, s.count, true);
  }

  // Callers come first.
  void spread_to_callees(std::vector<bool>& left) const {
    for (size_t n = cfg_.callees_first.size(); n-- > 0;) {
      const Subprog& s = program_.subprogs[cfg_.callees_first[n]];
      for (size_t at = s.start; at < s.start + s.count; ++at)
        if (left[at] && !cfg_.second_half[at] && is_pseudo_call(program_.insns[at]))
          mark(left, call_target(cfg_, program_, at));
    }
  }

  // Takes out what has no way in, and then what has none any more.
  void take_out(std::vector<bool>& left, const Ways& in, const Ways& out) const {
    std::vector<size_t> ways(left.size()), ready;
    for (size_t at = 0; at < left.size(); ++at) {
      if (!left[at]) continue;
      for (const uint32_t before : in[at]) ways[at] += left[before];
      if (ways[at] == 0) ready.push_back(at);
    }
    while (!ready.empty()) {
      const size_t at = ready.back();
      ready.pop_back();
      left[at] = false;
      for (const uint32_t next : out[at])
        if (left[next] && --ways[next] == 0) ready.push_back(next);
    }
  }

  const ProgramDef& program_;
  const Cfg& cfg_;
  Ways to_, from_;
};

}  // namespace

std::vector<bool> find_circles(const ProgramDef& program, const Cfg& cfg) {
  return Circles(program, cfg).find();
}

}  // namespace uarena::jit::verifier
