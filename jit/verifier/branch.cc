// Conditional jumps: which ways are possible and what each way teaches about the operands.
// Comparing addresses of the broker's own memory with numbers would let a program find out where
// that memory is, so only what tells nothing is allowed: null checks, and pointers into the same
// object with each other.
#include "jit/verifier/analysis.h"

namespace uarena::jit::verifier {
namespace {

Cond cond_of(const Insn& i) {
  switch (insn_op(i.code)) {
    case kJeq:
      return Cond::eq;
    case kJne:
      return Cond::ne;
    case kJgt:
      return Cond::gt;
    case kJge:
      return Cond::ge;
    case kJlt:
      return Cond::lt;
    case kJle:
      return Cond::le;
    case kJsgt:
      return Cond::sgt;
    case kJsge:
      return Cond::sge;
    case kJslt:
      return Cond::slt;
    case kJsle:
      return Cond::sle;
    default:
      return Cond::set;
  }
}

bool wide(const Insn& i) { return insn_class(i.code) == kJmp; }

Way way_of(bool is_wide, Cond cond, Scalar dst, Scalar src) {
  Way way;
  way.possible = is_wide ? refine64(cond, dst, src) : refine32(cond, dst, src);
  way.teaches = way.possible;
  way.dst = dst;
  way.src = src;
  return way;
}

Fork fork_of(bool is_wide, Cond cond, const Scalar& dst, const Scalar& src) {
  return {way_of(is_wide, cond, dst, src), way_of(is_wide, negated(cond), dst, src)};
}

// Addresses in one object compare as their offsets do, while both stay near it.
bool near(const Reg& reg) {
  constexpr int64_t kNear = int64_t{1} << 29;
  return reg.number.full.smin >= -kNear && reg.number.full.smax <= kNear;
}

Cond as_signed(Cond cond) {
  switch (cond) {
    case Cond::lt:
      return Cond::slt;
    case Cond::le:
      return Cond::sle;
    case Cond::gt:
      return Cond::sgt;
    case Cond::ge:
      return Cond::sge;
    default:
      return cond;
  }
}

Checked<Fork> compare_pointers(Walk& walk, Cond cond, const Reg& dst, const Reg& src) {
  const Insn& i = walk.insn();
  const bool same_object = dst.kind == src.kind && dst.map == src.map && dst.frame == src.frame &&
                           dst.kind != Kind::map_ptr;
  const bool orders = cond == Cond::eq || cond == Cond::ne || cond == Cond::lt ||
                      cond == Cond::le || cond == Cond::gt || cond == Cond::ge;
  if (wide(i) && same_object && orders && near(dst) && near(src))
    return fork_of(true, as_signed(cond), dst.number, src.number);
  const bool null_check = wide(i) && (cond == Cond::eq || cond == Cond::ne) &&
                          src.kind == Kind::scalar && src.number.value() == uint64_t{0} &&
                          (dst.kind == Kind::map_ptr || near(dst));
  if (!null_check)
    return walk.fail(EACCES,
                     "R{} pointer comparison prohibited; allowed are null checks and pointers into "
                     "the same object",
                     unsigned{i.dst});
  Fork fork;
  fork.taken.possible = cond == Cond::ne;
  fork.fall.possible = cond == Cond::eq;
  return fork;
}

void teach(State& state, Reg& reg, const Scalar& number) {
  const uint32_t id = reg.kind == Kind::scalar ? reg.id : 0;
  reg.number = number;
  if (id == 0) return;
  for (Frame& frame : state.frames) {
    for (Reg& other : frame.regs)
      if (other.kind == Kind::scalar && other.id == id) other.number = number;
    for (Slot& slot : frame.stack)
      if (slot.is_spill() && slot.spilled.kind == Kind::scalar && slot.spilled.id == id)
        slot.spilled.number = number;
  }
}

}  // namespace

Checked<Fork> step_branch(Walk& walk) {
  const Insn& i = walk.insn();
  if (auto ok = walk.readable(i.dst); !ok) return std::unexpected(ok.error());
  Reg src = Reg::scalar(wide(i) ? Scalar::constant(static_cast<uint64_t>(int64_t{i.imm}))
                                : Scalar::constant(static_cast<uint32_t>(i.imm)));
  if (uses_register(i.code)) {
    if (auto ok = walk.readable(i.src); !ok) return std::unexpected(ok.error());
    src = walk.reg(i.src);
  }
  const Reg& dst = walk.reg(i.dst);
  const Cond cond = cond_of(i);
  if (dst.is_broker_pointer() || src.is_broker_pointer())
    return compare_pointers(walk, cond, dst, src);
  if (dst.kind == Kind::arena || src.kind == Kind::arena) return Fork{};
  return fork_of(wide(i), cond, dst.number, src.number);
}

void learn(State& state, const Insn& jump, const Way& way) {
  if (!way.teaches) return;
  auto& regs = state.regs();
  teach(state, regs[jump.dst], way.dst);
  if (uses_register(jump.code)) teach(state, regs[jump.src], way.src);
}

}  // namespace uarena::jit::verifier
