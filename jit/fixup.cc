// Lowers a verified program to what the executors run: references become addresses, arena accesses
// get opcodes of their own, casts and arithmetic on arena pointers become 32-bit operations, and
// instructions that no path reaches become `exit`. Every instruction stays in its place, so jump
// distances, line numbers and the verifier's indices stay true.
//
// What the verifier has excluded is asserted here, not handled: it would be a bug of ours.
#include <algorithm>
#include <utility>

#include "ipc/base/result.h"
#include "jit/packet.h"
#include "jit/program.h"

namespace uarena::jit {

class Fixup {
 public:
  Fixup(const VerifiedProgram& program, const Binding& binding)
      : def_(program.def()), facts_(program.facts()), verified_(program), binding_(binding) {}

  FixedProgram run() {
    UARENA_ASSERT(facts_.size() == def_.insns.size(), "program {}: {} facts for {} instructions",
                  def_.name, facts_.size(), def_.insns.size());
    take_over_what_stays();
    for (size_t at = 0; at < fixed_.insns_.size(); ++at) {
      const bool wide = is_ld_imm64(def_.insns[at]);
      if (!facts_[at].reached)
        replace_dead_code(at, wide);
      else
        fix(at);
      if (facts_[at].reached && facts_[at].budget) count_at(at);
      if (wide) ++at;
    }
    return std::move(fixed_);
  }

 private:
  void take_over_what_stays() {
    fixed_.name_ = def_.name;
    fixed_.insns_ = def_.insns;
    fixed_.lines_ = def_.lines;
    fixed_.arena_ = binding_.arena;
    fixed_.maps_ = binding_.maps;
    fixed_.uses_arena_ = binding_.arena.size != 0;
    fixed_.ctx_size_ = verified_.ctx_size();
    fixed_.own_pointers_ = verified_.own_pointers();
    UARENA_ASSERT(verified_.stack_bytes().size() == def_.subprogs.size(),
                  "program {}: stack sizes of {} subprograms, there are {}", def_.name,
                  verified_.stack_bytes().size(), def_.subprogs.size());
    for (size_t n = 0; n < def_.subprogs.size(); ++n) {
      const Subprog& from = def_.subprogs[n];
      const uint32_t stack = (verified_.stack_bytes()[n] + 7) & ~uint32_t{7};
      UARENA_ASSERT(stack <= 512, "{}: {} bytes of stack", from.name, stack);
      FixedSubprog to{from.name, from.start, from.count, stack};
      to.zero_stack = n < verified_.zeroed_stack().size() && verified_.zeroed_stack()[n];
      for (uint32_t at = from.start; at < from.start + from.count; ++at) {
        if (facts_[at].reached && is_may_goto(def_.insns[at])) to.has_may_goto = true;
      }
      fixed_.subprogs_.push_back(std::move(to));
    }
  }

  // The kernel puts a jump to itself here. `exit` is as harmless as code that never runs can be,
  // and if a bug of ours made it run, the program would end instead of hanging.
  void replace_dead_code(size_t at, bool wide) {
    const Insn exit{.code = kJmp | kExit};
    fixed_.insns_[at] = exit;
    if (wide) fixed_.insns_[at + 1] = exit;
  }

  void count_at(size_t at) {
    fixed_.counts_.resize(fixed_.insns_.size());
    fixed_.counts_[at] = true;
  }

  void fix(size_t at) {
    Insn& insn = fixed_.insns_[at];
    switch (insn_class(insn.code)) {
      case kLd:
        UARENA_ASSERT(is_ld_imm64(insn), "instruction {}: legacy packet access", at);
        fix_constant(at);
        break;
      case kLdx:
      case kSt:
      case kStx:
        fix_access(at, insn);
        break;
      case kAlu64:
        if (is_addr_space_cast(insn))
          fix_cast(at, insn);
        else if (facts_[at].arena_alu)
          narrow(at, insn);
        break;
      case kJmp:
        if (insn_op(insn.code) == kCall) fix_call(at, insn);
        break;
      default:
        break;
    }
  }

  // ld_imm64: every reference becomes the constant that it stands for.
  void fix_constant(size_t at) {
    Insn& low = fixed_.insns_[at];
    Insn& high = fixed_.insns_[at + 1];
    uint64_t value = 0;
    switch (low.src) {
      case 0:
        return;
      case kPseudoMapFd:
        value = reinterpret_cast<uint64_t>(&map(at, low.imm));
        break;
      case kPseudoMapValue:
        value = value_address(map(at, low.imm), static_cast<uint32_t>(high.imm));
        break;
      case kPseudoKfunc:
        UARENA_ASSERT(binding_.functions != nullptr, "instruction {}: no functions are bound", at);
        value = binding_.functions->kfunc(low.imm) != nullptr ? 1 : 0;
        break;
      case kPseudoFunc:
        value = callback(at, low.imm);
        break;
      default:
        UARENA_ASSERT(false, "instruction {}: ld_imm64 with source {}", at, unsigned{low.src});
    }
    low.src = 0;
    low.imm = static_cast<int32_t>(value);
    high.imm = static_cast<int32_t>(value >> 32);
  }

  // A callback's value: its number among the subprograms. The entry, which has number 0, can't be
  // one, so a callback is never NULL.
  uint64_t callback(size_t at, int32_t distance) {
    const auto start = static_cast<uint32_t>(static_cast<int64_t>(at) + 1 + distance);
    const auto found = std::ranges::find(fixed_.subprogs_, start, &FixedSubprog::start);
    UARENA_ASSERT(found != fixed_.subprogs_.begin() && found != fixed_.subprogs_.end(),
                  "instruction {}: no subprogram for a callback starts at {}", at, start);
    found->is_callback = true;
    return static_cast<uint64_t>(found - fixed_.subprogs_.begin());
  }

  const BoundMap& map(size_t at, int32_t index) const {
    UARENA_ASSERT(index >= 0 && static_cast<size_t>(index) < binding_.maps.size() &&
                      binding_.maps[static_cast<size_t>(index)] != nullptr,
                  "instruction {}: map {} of {} is not bound", at, index, binding_.maps.size());
    return *binding_.maps[static_cast<size_t>(index)];
  }

  uint64_t value_address(const BoundMap& bound, uint32_t offset) const {
    // K74: of an arena it is the user's address, and has to be cast before it is used.
    if (bound.kind == MapKind::arena) return binding_.arena.user_vm_start + offset;
    UARENA_ASSERT(bound.value != nullptr, "map {} has no value to point into", bound.name);
    return reinterpret_cast<uint64_t>(bound.value) + offset;
  }

  void fix_access(size_t at, Insn& insn) const {
    const Region region = facts_[at].region;
    UARENA_ASSERT(region != Region::none, "instruction {}: access to nothing", at);
    if (facts_[at].ctx_load != CtxLoad::plain) return load_packet_pointer(at, insn);
    if (region != Region::arena) return;
    UARENA_ASSERT(binding_.arena.size != 0, "instruction {}: arena access without an arena", at);
    set_mode(insn, probe_mode(at, insn));
  }

  // The context's own field has 32 bits; the pointer stands behind the context (packet.h).
  void load_packet_pointer(size_t at, Insn& insn) const {
    UARENA_ASSERT(insn.code == (kLdx | kMem | kW) && facts_[at].region == Region::ctx,
                  "instruction {}: opcode {:#x} does not load a pointer", at, insn.code);
    insn.code = kLdx | kMem | kDw;
    insn.off = static_cast<int16_t>(packet_pointer_offset(facts_[at].ctx_load));
  }

  static uint8_t probe_mode(size_t at, const Insn& insn) {
    const uint8_t mode = insn_mode(insn.code);
    if (mode == kMem) return kProbeMem32;
    if (mode == kMemsx && insn_class(insn.code) == kLdx) return kProbeMem32sx;
    UARENA_ASSERT(mode == kAtomic && insn_class(insn.code) == kStx,
                  "instruction {}: opcode {:#x} can't access the arena", at, insn.code);
    return kProbeAtomic;
  }

  static void set_mode(Insn& insn, uint8_t mode) {
    insn.code = static_cast<uint8_t>((insn.code & ~0xe0) | mode);
  }

  // cast_kern is a zero extension (K56); cast_user too where the arena wants no user addresses
  // (K58), and otherwise stays for the executors (K57).
  void fix_cast(size_t at, Insn& insn) const {
    UARENA_ASSERT(binding_.arena.size != 0, "instruction {}: cast without an arena", at);
    UARENA_ASSERT(insn.imm == kCastKern || insn.imm == kCastUser,
                  "instruction {}: cast between address spaces {:#x}", at, insn.imm);
    if (insn.imm == kCastUser && !binding_.arena.no_user_conv) return;
    insn.code = kAlu | kMov | kX;
    insn.off = 0;
    insn.imm = 0;
  }

  // K62: only the low half of an arena pointer means anything, and accesses rely on the upper half
  // being zero, so the operation is done in 32 bits.
  static void narrow(size_t at, Insn& insn) {
    UARENA_ASSERT(insn_op(insn.code) != kEnd && !(insn_op(insn.code) == kMov && insn.off != 0),
                  "instruction {}: opcode {:#x} does not yield an arena pointer", at, insn.code);
    insn.code = static_cast<uint8_t>((insn.code & ~0x07) | kAlu);
  }

  void fix_call(size_t at, Insn& insn) {
    if (is_pseudo_call(insn)) return;
    UARENA_ASSERT((is_kfunc_call(insn) || is_helper_call(insn)) && binding_.functions != nullptr,
                  "instruction {}: call of function {} (source {})", at, insn.imm,
                  unsigned{insn.src});
    const CallTable& offered = *binding_.functions;
    const FunctionDesc* function =
        is_kfunc_call(insn) ? offered.kfunc(insn.imm) : offered.helper(insn.imm);
    UARENA_ASSERT(function != nullptr && function->function != nullptr,
                  "instruction {}: function {} is not there", at, insn.imm);
    insn.src = kPseudoKfuncCall;
    insn.imm = index_of(function);
  }

  int32_t index_of(const FunctionDesc* function) {
    auto& functions = fixed_.functions_;
    const auto found = std::ranges::find(functions, function);
    const auto index = static_cast<int32_t>(found - functions.begin());
    if (found == functions.end()) functions.push_back(function);
    return index;
  }

  const ProgramDef& def_;
  const std::vector<InsnFacts>& facts_;
  const VerifiedProgram& verified_;
  const Binding& binding_;
  FixedProgram fixed_;
};

FixedProgram fix_up(const VerifiedProgram& program, const Binding& binding) {
  return Fixup(program, binding).run();
}

}  // namespace uarena::jit
