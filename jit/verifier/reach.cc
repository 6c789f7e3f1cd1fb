// Forwards from the start, each instruction once. Values don't count here: a branch that is never
// taken leads somewhere all the same.
#include "jit/verifier/reach.h"

namespace uarena::jit::verifier {
namespace {

class Reached {
 public:
  Reached(const ProgramDef& program, const Cfg& cfg)
      : program_(program), cfg_(cfg), seen_(program.insns.size()) {}

  void walk() {
    visit(0);
    while (!waiting_.empty()) {
      const size_t at = waiting_.back();
      waiting_.pop_back();
      follow(at);
    }
  }
  bool has(size_t at) const { return seen_[at]; }

 private:
  void visit(size_t at) {
    if (seen_[at]) return;
    seen_[at] = true;
    waiting_.push_back(at);
  }

  void visit_function(uint32_t n) { visit(program_.subprogs[n].start); }

  void follow(size_t at) {
    const Insn& i = program_.insns[at];
    if (is_ld_imm64(i)) {
      if (i.src == kPseudoFunc) visit_function(callback_target(cfg_, program_, at));
      seen_[at + 1] = true;
      return visit(at + 2);
    }
    const uint8_t cls = insn_class(i.code);
    if (cls != kJmp && cls != kJmp32) return visit(at + 1);
    switch (insn_op(i.code)) {
      case kExit:
        return;
      case kCall:
        if (is_pseudo_call(i)) visit_function(call_target(cfg_, program_, at));
        return visit(at + 1);
      case kJa:
        return visit(jump_target(program_, at));
      default:
        visit(jump_target(program_, at));
        return visit(at + 1);
    }
  }

  const ProgramDef& program_;
  const Cfg& cfg_;
  std::vector<bool> seen_;
  std::vector<size_t> waiting_;
};

}  // namespace

Checked<> check_reachable(const ProgramDef& program, const Cfg& cfg) {
  Reached reached(program, cfg);
  reached.walk();
  for (size_t at = 0; at < program.insns.size(); ++at)
    if (!reached.has(at)) return fault(at, EINVAL, "unreachable insn {}", at);
  return {};
}

}  // namespace uarena::jit::verifier
