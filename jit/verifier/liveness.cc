// A backward data-flow pass per subprogram, callees first, until nothing changes. Stack slots are
// followed only where the frame pointer stays in R10; a frame whose address is taken anywhere keeps
// all its slots live.
#include "jit/verifier/liveness.h"

#include "jit/verifier/analysis.h"

namespace uarena::jit::verifier {
namespace {

constexpr uint16_t kArguments = 0x3e;  // R1..R5
constexpr uint16_t kClobbered = 0x3f;  // R0..R5

uint16_t bit(unsigned reg) { return static_cast<uint16_t>(1u << reg); }

struct Effect {
  uint16_t use = 0;
  uint16_t def = 0;
  uint64_t slots_used = 0;
  uint64_t slots_set = 0;
};

// Slots that [off, off + bytes) below the frame pointer touches; all of them if it leaves the
// frame.
uint64_t slots_of(int off, unsigned bytes) {
  const int last = off + static_cast<int>(bytes) - 1;
  if (off < -kMaxStack || last >= 0) return ~uint64_t{0};
  uint64_t slots = 0;
  for (int o = off; o <= last; ++o) slots |= uint64_t{1} << ((-o - 1) / 8);
  return slots;
}

void frame_access(Effect& e, const Insn& i, bool writes_only) {
  const unsigned bytes = access_bytes(i.code);
  if (!writes_only)
    e.slots_used = slots_of(i.off, bytes);
  else if (bytes == 8 && i.off % 8 == 0)
    e.slots_set = slots_of(i.off, bytes);
}

Effect alu_effect(const Insn& i) {
  Effect e;
  e.def = bit(i.dst);
  if (insn_op(i.code) != kMov) e.use |= bit(i.dst);
  if (uses_register(i.code) && insn_op(i.code) != kEnd) e.use |= bit(i.src);
  return e;
}

Effect atomic_effect(const Insn& i) {
  Effect e;
  if (i.imm == kLoadAcq) {
    e.use = bit(i.src);
    e.def = bit(i.dst);
    if (i.src == 10) frame_access(e, i, false);
    return e;
  }
  e.use = bit(i.dst) | bit(i.src);
  if (i.imm == kCmpxchg) {
    e.use |= bit(0);
    e.def = bit(0);
  } else if (i.imm != kStoreRel && (i.imm & kFetch) != 0) {
    e.def = bit(i.src);
  }
  if (i.dst == 10) frame_access(e, i, i.imm == kStoreRel);
  return e;
}

Effect memory_effect(const Insn& i) {
  Effect e;
  switch (insn_class(i.code)) {
    case kLdx:
      e.use = bit(i.src);
      e.def = bit(i.dst);
      if (i.src == 10) frame_access(e, i, false);
      return e;
    case kSt:
      e.use = bit(i.dst);
      if (i.dst == 10) frame_access(e, i, true);
      return e;
    default:
      if (insn_mode(i.code) == kAtomic) return atomic_effect(i);
      e.use = bit(i.dst) | bit(i.src);
      if (i.dst == 10) frame_access(e, i, true);
      return e;
  }
}

class Pass {
 public:
  Pass(const ProgramDef& program, const Cfg& cfg, const CallTable& kfuncs)
      : program_(program), cfg_(cfg), kfuncs_(kfuncs), live_(program.insns.size()) {}

  std::vector<Live> run() {
    for (const uint32_t subprog : cfg_.callees_first) settle(program_.subprogs[subprog]);
    return std::move(live_);
  }

 private:
  uint16_t arguments_used(size_t at) const {
    const Insn& i = program_.insns[at];
    if (is_pseudo_call(i) && is_global(program_, call_target(cfg_, program_, at)))
      return kArguments;  // all that its type names are checked, used or not
    if (is_pseudo_call(i))
      return live_[program_.subprogs[call_target(cfg_, program_, at)].start].regs & kArguments;
    const FunctionDesc* function = is_kfunc_call(i) ? kfuncs_.kfunc(i.imm) : kfuncs_.helper(i.imm);
    if (function == nullptr) return kArguments;
    uint16_t used = 0;
    for (unsigned a = 0; a < 5; ++a)
      if (function->args[a] != ArgKind::none) used |= bit(a + 1);
    return used;
  }

  Effect effect(size_t at) const {
    const Insn& i = program_.insns[at];
    Effect e;
    switch (insn_class(i.code)) {
      case kAlu:
      case kAlu64:
        return alu_effect(i);
      case kLd:
        e.def = bit(i.dst);
        return e;
      case kJmp:
      case kJmp32:
        switch (insn_op(i.code)) {
          case kJa:
          case kJcond:
            return e;
          case kExit:
            e.use = bit(0);
            return e;
          case kCall:
            e.use = arguments_used(at);
            e.def = kClobbered;
            return e;
          default:
            e.use = bit(i.dst);
            if (uses_register(i.code)) e.use |= bit(i.src);
            return e;
        }
      default:
        return memory_effect(i);
    }
  }

  Live after(size_t at) const {
    const Insn& i = program_.insns[at];
    const uint8_t cls = insn_class(i.code);
    const bool jumps = (cls == kJmp || cls == kJmp32) && insn_op(i.code) != kCall;
    if (!jumps) return live_[at + (is_ld_imm64(i) ? 2 : 1)];
    if (insn_op(i.code) == kExit) return {};
    Live out = live_[jump_target(program_, at)];
    if (insn_op(i.code) == kJa) return out;
    out.regs |= live_[at + 1].regs;
    out.slots |= live_[at + 1].slots;
    return out;
  }

  bool frame_address_taken(const Subprog& s) const {
    for (size_t at = s.start; at < s.start + s.count; ++at) {
      const Insn& i = program_.insns[at];
      if (cfg_.second_half[at] || i.src != 10) continue;
      const uint8_t cls = insn_class(i.code);
      const bool reads_memory =
          cls == kLdx || (i.code == (kStx | kAtomic | insn_size(i.code)) && i.imm == kLoadAcq);
      if (!reads_memory) return true;
    }
    return false;
  }

  void settle(const Subprog& s) {
    const bool taken = frame_address_taken(s);
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t at = s.start + s.count; at-- > s.start;) {
        if (cfg_.second_half[at]) continue;
        const Effect e = effect(at);
        const Live out = after(at);
        Live in;
        in.regs = static_cast<uint16_t>((out.regs & ~e.def) | e.use);
        in.slots = taken ? ~uint64_t{0} : (out.slots & ~e.slots_set) | e.slots_used;
        if (in == live_[at]) continue;
        live_[at] = in;
        changed = true;
      }
    }
  }

  const ProgramDef& program_;
  const Cfg& cfg_;
  const CallTable& kfuncs_;
  std::vector<Live> live_;
};

}  // namespace

std::vector<Live> compute_liveness(const ProgramDef& program, const Cfg& cfg,
                                   const CallTable& kfuncs) {
  return Pass(program, cfg, kfuncs).run();
}

}  // namespace uarena::jit::verifier
