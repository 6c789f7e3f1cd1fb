// Structure: the subprogram table, jumps and calls, the call graph.
#include "jit/verifier/cfg.h"

#include <algorithm>

namespace uarena::jit::verifier {
namespace {

bool is_jump(const Insn& i) {
  const uint8_t cls = insn_class(i.code);
  const uint8_t op = insn_op(i.code);
  return (cls == kJmp || cls == kJmp32) && op != kCall && op != kExit;
}

Checked<> check_subprogs(const ProgramDef& program) {
  if (program.insns.empty() || program.subprogs.empty())
    return fault(0, EINVAL, "the program has no instructions");
  size_t next = 0;
  for (const Subprog& s : program.subprogs) {
    if (s.start != next || s.count == 0 || s.count > program.insns.size() - next)
      return fault(next, EINVAL, "function `{}` does not start where the one before it ends",
                   s.name);
    next += s.count;
  }
  if (next != program.insns.size())
    return fault(next, EINVAL, "instructions after the last function");
  return {};
}

// Signed, because an untrusted offset may point anywhere.
int64_t target_of(const ProgramDef& program, size_t at) {
  const Insn& i = program.insns[at];
  const int64_t distance = i.code == (kJmp32 | kJa) ? i.imm : i.off;
  return static_cast<int64_t>(at) + 1 + distance;
}

Checked<> check_jumps(const ProgramDef& program, const Subprog& s, Cfg& cfg) {
  for (size_t at = s.start; at < s.start + s.count; ++at) {
    if (cfg.second_half[at]) continue;
    const Insn& i = program.insns[at];
    if (!is_jump(i)) continue;
    const int64_t to = target_of(program, at);
    if (to < s.start || to >= static_cast<int64_t>(s.start) + s.count)
      return fault(at, EINVAL, "jump out of range from insn {} to {}", at, to);
    if (cfg.second_half[static_cast<size_t>(to)])
      return fault(at, EINVAL, "jump into the middle of ldimm64 insn {}", to);
    cfg.join_point[static_cast<size_t>(to)] = true;
  }
  size_t last = s.start + s.count - 1;
  const Insn& end = program.insns[last];
  const bool leaves =
      end.code == (kJmp | kExit) || end.code == (kJmp | kJa) || end.code == (kJmp32 | kJa);
  if (cfg.second_half[last] || !leaves)
    return fault(last, EINVAL, "last insn is not an exit or jmp");
  return {};
}

Checked<> check_insns(const Object& object, const ProgramDef& program, Cfg& cfg) {
  for (size_t n = 0; n < program.subprogs.size(); ++n) {
    const Subprog& s = program.subprogs[n];
    for (size_t at = s.start; at < s.start + s.count; ++at) {
      cfg.subprog_of[at] = static_cast<uint32_t>(n);
      if (cfg.second_half[at]) continue;
      if (auto ok = check_encoding(object, program, at); !ok) return ok;
      if (!is_ld_imm64(program.insns[at])) continue;
      if (at + 1 >= s.start + s.count)
        return fault(at, EINVAL, "invalid bpf_ld_imm64 insn: the function ends inside it");
      cfg.second_half[at + 1] = true;
    }
    if (auto ok = check_jumps(program, s, cfg); !ok) return ok;
  }
  return {};
}

bool starts_function(const ProgramDef& program, const Cfg& cfg, int64_t to) {
  const bool inside = to >= 0 && to < static_cast<int64_t>(program.insns.size());
  return inside && program.subprogs[cfg.subprog_of[static_cast<size_t>(to)]].start == to;
}

bool takes_function(const Insn& i) { return is_ld_imm64(i) && i.src == kPseudoFunc; }

Checked<> check_calls(const ProgramDef& program, Cfg& cfg) {
  for (size_t at = 0; at < program.insns.size(); ++at) {
    const Insn& i = program.insns[at];
    if (cfg.second_half[at] || (!is_pseudo_call(i) && !takes_function(i))) continue;
    const int64_t to = static_cast<int64_t>(at) + 1 + i.imm;
    if (!starts_function(program, cfg, to))
      return fault(at, EINVAL, "call to insn {}, where no function starts", to);
    if (takes_function(i) && program.subprogs[cfg.subprog_of[static_cast<size_t>(to)]].global)
      return fault(at, EINVAL, "callback function not static");
    if (takes_function(i)) continue;
    auto& callees = cfg.callees[cfg.subprog_of[at]];
    const uint32_t callee = cfg.subprog_of[static_cast<size_t>(to)];
    if (std::find(callees.begin(), callees.end(), callee) == callees.end())
      callees.push_back(callee);
  }
  return {};
}

size_t first_call(const ProgramDef& program, const Cfg& cfg, uint32_t caller, uint32_t callee) {
  const Subprog& s = program.subprogs[caller];
  for (size_t at = s.start; at < s.start + s.count; ++at)
    if (!cfg.second_half[at] && is_pseudo_call(program.insns[at]) &&
        call_target(cfg, program, at) == callee)
      return at;
  return s.start;
}

// Depth of the deepest call chain from each subprogram, callees before callers. Iterative, since
// the number of functions is the object's choice.
Checked<> order_calls(const ProgramDef& program, Cfg& cfg) {
  enum : uint8_t { fresh, open, done };
  std::vector<uint8_t> mark(program.subprogs.size(), fresh);
  std::vector<unsigned> depth(program.subprogs.size(), 1);
  struct Visit {
    uint32_t subprog;
    size_t next;
  };
  for (uint32_t root = 0; root < program.subprogs.size(); ++root) {
    if (mark[root] != fresh) continue;
    std::vector<Visit> stack{{root, 0}};
    mark[root] = open;
    while (!stack.empty()) {
      Visit& v = stack.back();
      if (v.next == cfg.callees[v.subprog].size()) {
        mark[v.subprog] = done;
        cfg.callees_first.push_back(v.subprog);
        const uint32_t finished = v.subprog;
        stack.pop_back();
        if (stack.empty()) continue;
        unsigned& above = depth[stack.back().subprog];
        above = std::max(above, depth[finished] + 1);
        continue;
      }
      const uint32_t callee = cfg.callees[v.subprog][v.next++];
      if (mark[callee] == open)
        return fault(first_call(program, cfg, v.subprog, callee), EINVAL,
                     "recursive call from {}() to {}()", program.subprogs[v.subprog].name,
                     program.subprogs[callee].name);
      if (mark[callee] == done) {
        depth[v.subprog] = std::max(depth[v.subprog], depth[callee] + 1);
        continue;
      }
      mark[callee] = open;
      stack.push_back({callee, 0});
    }
  }
  if (depth[0] > kMaxFrames)
    return fault(0, E2BIG, "the call stack of {} frames is too deep, allowed are {}", depth[0],
                 kMaxFrames);
  return {};
}

// Backwards from the exits, each instruction once.
class WaysOut {
 public:
  WaysOut(const ProgramDef& program, Cfg& cfg)
      : program_(program), cfg_(cfg), jumps_here_(program.insns.size()) {}

  void find() {
    for (size_t at = 0; at < program_.insns.size(); ++at) {
      if (cfg_.second_half[at]) continue;
      const Insn& i = program_.insns[at];
      if (is_jump(i)) jumps_here_[jump_target(program_, at)].push_back(static_cast<uint32_t>(at));
      if (i.code == (kJmp | kExit)) reach(at);
    }
    while (!reached_.empty()) {
      const size_t at = reached_.back();
      reached_.pop_back();
      for (const uint32_t from : jumps_here_[at]) reach(from);
      const size_t before = at > 1 && cfg_.second_half[at - 1] ? at - 2 : at - 1;
      if (at > 0 && goes_on(program_.insns[before])) reach(before);
    }
  }

 private:
  static bool goes_on(const Insn& i) {
    return i.code != (kJmp | kExit) && i.code != (kJmp | kJa) && i.code != (kJmp32 | kJa);
  }
  void reach(size_t at) {
    if (cfg_.reaches_exit[at]) return;
    cfg_.reaches_exit[at] = true;
    reached_.push_back(at);
  }

  const ProgramDef& program_;
  Cfg& cfg_;
  std::vector<std::vector<uint32_t>> jumps_here_;
  std::vector<size_t> reached_;
};

}  // namespace

size_t jump_target(const ProgramDef& program, size_t at) {
  return static_cast<size_t>(target_of(program, at));
}

uint32_t call_target(const Cfg& cfg, const ProgramDef& program, size_t at) {
  return cfg.subprog_of[static_cast<size_t>(static_cast<int64_t>(at) + 1 + program.insns[at].imm)];
}

uint32_t callback_target(const Cfg& cfg, const ProgramDef& program, size_t at) {
  return call_target(cfg, program, at);
}

Checked<Cfg> check_structure(const Object& object, const ProgramDef& program) {
  if (auto ok = check_subprogs(program); !ok) return std::unexpected(ok.error());
  Cfg cfg;
  const size_t count = program.insns.size();
  cfg.subprog_of.resize(count);
  cfg.second_half.resize(count);
  cfg.join_point.resize(count);
  cfg.reaches_exit.resize(count);
  cfg.callees.resize(program.subprogs.size());
  if (auto ok = check_insns(object, program, cfg); !ok) return std::unexpected(ok.error());
  if (auto ok = check_calls(program, cfg); !ok) return std::unexpected(ok.error());
  if (auto ok = order_calls(program, cfg); !ok) return std::unexpected(ok.error());
  WaysOut(program, cfg).find();
  return cfg;
}

}  // namespace uarena::jit::verifier
