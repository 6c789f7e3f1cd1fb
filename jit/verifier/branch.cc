// Conditional jumps: which ways are possible and what each way teaches about the operands: numbers
// become smaller ranges, a pointer that may be NULL is it or is not, a pointer into the packet is
// before its end. Comparing other addresses of the broker's own memory with numbers would let a
// program find out where that memory is, so only what tells nothing is allowed: null checks, and
// pointers into the same object with each other.
#include <algorithm>

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
  if (way.possible) way.teaches = Way::Teaches::numbers;
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

bool compares_with_zero(const Insn& i, Cond cond, const Reg& src) {
  return wide(i) && (cond == Cond::eq || cond == Cond::ne) && src.kind == Kind::scalar &&
         src.number.value() == uint64_t{0};
}

// A run without a context or a packet begins with a NULL pointer to it.
bool may_be_absent(const Reg& reg) {
  return reg.kind == Kind::ctx || reg.is_packet() || reg.kind == Kind::packet_end;
}

// A pointer that may be NULL against 0: both ways, and on each we know.
Fork null_check(Cond cond, const Reg& pointer) {
  Way null, not_null;
  null.teaches = Way::Teaches::null;
  not_null.teaches = Way::Teaches::not_null;
  null.id = not_null.id = pointer.id;
  null.ref = pointer.ref;
  if (cond == Cond::eq) return {null, not_null};
  return {not_null, null};
}

// What lies before a packet's end, or bytes of metadata before its start.
bool is_end_of(const Reg& pointer, const Reg& end) {
  if (pointer.kind == Kind::packet) return end.kind == Kind::packet_end;
  const bool start =
      end.kind == Kind::packet && end.number.value() == uint64_t{0} && end.fixed == 0;
  return pointer.kind == Kind::packet_meta && start;
}

// The bytes up to `pointer`, one more where it is strictly before the end.
void teach_packet(Way& way, const Reg& pointer, bool strictly_before) {
  constexpr uint64_t kMaxPacketOffset = 0xffff;
  if (pointer.fixed < 0 || (pointer.fixed == 0 && strictly_before)) return;  // as the kernel
  // A number that may be negative is a huge one here, and would wrap in the sum.
  const uint64_t variable = pointer.number.full.umax;
  if (variable > kMaxPacketOffset) return;
  if (variable + static_cast<uint64_t>(pointer.fixed) > kMaxPacketOffset) return;
  way.teaches = Way::Teaches::packet;
  way.kind = pointer.kind;
  way.id = pointer.id;
  way.range = static_cast<uint32_t>(pointer.fixed) + (strictly_before ? 1 : 0);
}

// `pointer cond end`, where a way on which the pointer is not behind the end says so.
std::optional<Fork> packet_check(Cond cond, const Reg& dst, const Reg& src) {
  const bool swapped = is_end_of(src, dst);
  if (!swapped && !is_end_of(dst, src)) return std::nullopt;
  const Reg& pointer = swapped ? src : dst;
  const bool less = cond == Cond::lt || cond == Cond::le;
  const bool greater = cond == Cond::gt || cond == Cond::ge;
  Fork fork;
  if (!less && !greater) return fork;
  const bool or_equal = cond == Cond::le || cond == Cond::ge;
  // On the taken way `pointer < end` or `pointer <= end`; on the other its opposite.
  const bool taken_is_before = less != swapped;
  if (taken_is_before)
    teach_packet(fork.taken, pointer, !or_equal);
  else
    teach_packet(fork.fall, pointer, or_equal);
  return fork;
}

Checked<Fork> compare_pointers(Walk& walk, Cond cond, const Reg& dst, const Reg& src) {
  const Insn& i = walk.insn();
  if (compares_with_zero(i, cond, src)) {
    if (dst.or_null) return null_check(cond, dst);
    if (!dst.is_broker_pointer() || !near(dst) || may_be_absent(dst)) return Fork{};
    Fork fork;
    fork.taken.possible = cond == Cond::ne;
    fork.fall.possible = cond == Cond::eq;
    return fork;
  }
  if (wide(i))
    if (const auto fork = packet_check(cond, dst, src)) return *fork;
  const bool same_object = dst.kind == src.kind && dst.map == src.map && dst.frame == src.frame &&
                           dst.ref == src.ref && dst.id == src.id && dst.fixed == src.fixed &&
                           dst.kind != Kind::map_ptr && dst.kind != Kind::gone &&
                           dst.kind != Kind::map_key && dst.kind != Kind::memory && !dst.or_null &&
                           !src.or_null;
  const bool one_place =
      dst.kind == Kind::stack || dst.kind == Kind::ctx || dst.is_packet() ||
      (dst.kind == Kind::map_value && walk.subject.object.maps[dst.map].max_entries == 1);
  const bool orders = cond == Cond::eq || cond == Cond::ne || cond == Cond::lt ||
                      cond == Cond::le || cond == Cond::gt || cond == Cond::ge;
  if (wide(i) && same_object && orders && near(dst) && near(src)) {
    if (!one_place) return Fork{};  // of one map, but perhaps of two elements
    Fork fork = fork_of(true, as_signed(cond), dst.number, src.number);
    return fork;
  }
  const bool packets = (dst.is_packet() || dst.kind == Kind::packet_end) &&
                       (src.is_packet() || src.kind == Kind::packet_end);
  if (wide(i) && packets) return Fork{};
  return walk.fail(EACCES,
                   "R{} pointer comparison prohibited; allowed are null checks and pointers into "
                   "the same object",
                   unsigned{i.dst});
}

// What is known of a number now, for all that were made of it by moving it.
void teach(State& state, Reg& reg, const Scalar& number) {
  const uint32_t id = reg.kind == Kind::scalar ? reg.id : 0;
  reg.number = number;
  if (id == 0) return;
  const int64_t delta = reg.delta;
  for_each_reg(state, [&](Reg& other) {
    if (other.kind != Kind::scalar || other.id != id) return;
    const auto moved = static_cast<uint64_t>(other.delta) - static_cast<uint64_t>(delta);
    if (moved == 0)
      other.number = number;
    else
      meet(other.number, apply64(Op::add, number, Scalar::constant(moved)));
  });
}

// The element is told apart only where it matters: where it has a lock.
bool keeps_id(const Walk& walk, const Reg& reg) {
  return reg.kind == Kind::map_value && !walk.subject.object.maps[reg.map].fields.empty();
}

void learn_null(Walk& walk, State& state, const Way& way) {
  const bool null = way.teaches == Way::Teaches::null;
  if (null && way.ref != 0)
    std::erase_if(state.refs, [&](const Ref& ref) { return ref.id == way.ref; });
  for_each_reg(state, [&](Reg& reg) {
    if (!reg.or_null || reg.id != way.id) return;
    if (null) {
      reg = Reg::scalar(Scalar::constant(0));
      return;
    }
    reg.or_null = false;
    if (!keeps_id(walk, reg)) reg.id = 0;
  });
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

void learn(Walk& walk, State& state, const Way& way) {
  const Insn& jump = walk.insn();
  auto& regs = state.regs();
  switch (way.teaches) {
    case Way::Teaches::nothing:
      return;
    case Way::Teaches::numbers:
      teach(state, regs[jump.dst], way.dst);
      if (uses_register(jump.code)) teach(state, regs[jump.src], way.src);
      return;
    case Way::Teaches::null:
    case Way::Teaches::not_null:
      return learn_null(walk, state, way);
    case Way::Teaches::packet:
      for_each_reg(state, [&](Reg& reg) {
        if (reg.kind == way.kind && reg.id == way.id) reg.size = std::max(reg.size, way.range);
      });
  }
}

}  // namespace uarena::jit::verifier
