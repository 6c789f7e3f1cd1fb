// Arithmetic: numbers by the transfer functions of scalar.h, arena pointers by K62 and K63, and of
// the broker's own pointers only what keeps them pointers: adding and subtracting numbers.
#include "jit/verifier/analysis.h"

namespace uarena::jit::verifier {
namespace {

bool wide(const Insn& i) { return insn_class(i.code) == kAlu64; }

// As the kernel's verifier calls it.
std::string_view name_of(uint8_t op) {
  return op == kNeg ? "neg" : op == kEnd ? "byte swap" : alu_sign(op);
}

Op op_of(const Insn& i) {
  const bool is_signed = i.off == 1;
  switch (insn_op(i.code)) {
    case kAdd:
      return Op::add;
    case kSub:
      return Op::sub;
    case kMul:
      return Op::mul;
    case kDiv:
      return is_signed ? Op::sdiv : Op::div;
    case kMod:
      return is_signed ? Op::smod : Op::mod;
    case kOr:
      return Op::or_;
    case kAnd:
      return Op::and_;
    case kXor:
      return Op::xor_;
    case kLsh:
      return Op::lsh;
    case kRsh:
      return Op::rsh;
    case kArsh:
      return Op::arsh;
    default:
      break;
  }
  UARENA_ASSERT(false, "opcode {:02x} is no binary operation", i.code);
  return Op::add;
}

Scalar immediate(const Insn& i) {
  if (wide(i)) return Scalar::constant(static_cast<uint64_t>(int64_t{i.imm}));
  return Scalar::constant(static_cast<uint32_t>(i.imm));
}

// The number that a plain mov or a unary operation sees in an arena pointer (K63).
Scalar number_of(const Reg& reg) {
  return reg.kind == Kind::scalar ? reg.number : Scalar::unknown();
}

Checked<> step_cast(Walk& walk) {
  const Insn& i = walk.insn();
  if (walk.reg(i.src).is_broker_pointer())
    return walk.fail(EACCES, "R{} is not a pointer to arena or scalar", unsigned{i.src});
  walk.reg(i.dst) = i.imm == kCastKern ? Reg::arena() : Reg::scalar(Scalar::unknown());
  return {};
}

Checked<> step_mov_register(Walk& walk) {
  const Insn& i = walk.insn();
  if (auto ok = walk.readable(i.src); !ok) return ok;
  if (is_addr_space_cast(i)) return step_cast(walk);
  Reg& src = walk.reg(i.src);
  Reg& dst = walk.reg(i.dst);
  if (src.is_broker_pointer() && i.off != 0)
    return walk.fail(EACCES, "R{} sign-extension part of pointer", unsigned{i.src});
  if (src.is_broker_pointer() && !wide(i))
    return walk.fail(EACCES, "R{} partial copy of pointer", unsigned{i.src});
  const bool same_value =
      wide(i) ? i.off == 0
              : i.off == 0 && src.kind == Kind::scalar && src.number.full.umax <= UINT32_MAX;
  if (same_value) {
    if (src.kind == Kind::scalar) walk.give_id(src);
    dst = Reg(src);
    return {};
  }
  const Scalar number = number_of(src);
  const auto bits = static_cast<unsigned>(i.off);
  if (bits == 0)
    dst = Reg::scalar(truncated32(number));
  else
    dst = Reg::scalar(wide(i) ? sign_extended64(number, bits) : sign_extended32(number, bits));
  return {};
}

Checked<> step_unary(Walk& walk) {
  const Insn& i = walk.insn();
  if (auto ok = walk.readable(i.dst); !ok) return ok;
  Reg& dst = walk.reg(i.dst);
  if (dst.is_broker_pointer())
    return walk.fail(EACCES, "R{} pointer arithmetic prohibited", unsigned{i.dst});
  const Scalar number = number_of(dst);
  const auto bits = static_cast<unsigned>(i.imm);
  const Scalar zero = Scalar::constant(0);
  if (insn_op(i.code) == kNeg)
    dst = Reg::scalar(wide(i) ? apply64(Op::sub, zero, number) : apply32(Op::sub, zero, number));
  else if (wide(i) || uses_register(i.code))  // bswap, to big endian
    dst = Reg::scalar(byte_swapped(number, bits));
  else
    dst = Reg::scalar(low_bits(number, bits));
  return {};
}

constexpr int64_t kMaxOffset = int64_t{1} << 29;  // as the kernel's BPF_MAX_VAR_OFF

// Offsets stay small, so that sums of them are exact and addresses never wrap.
Checked<> check_offset(Walk& walk, const Reg& pointer, const Scalar& number) {
  const auto& range = number.full;
  const bool far = range.smin >= kMaxOffset || range.smin <= -kMaxOffset;
  if (range.is_constant() && far)
    return walk.fail(EINVAL, "math between {} pointer and {} is not allowed", type_name(pointer),
                     range.smin);
  if (range.smin == INT64_MIN)
    return walk.fail(EINVAL,
                     "math between {} pointer and register with unbounded min value is not allowed",
                     type_name(pointer));
  if (far)
    return walk.fail(EINVAL, "value {} makes {} pointer be out of bounds", range.smin,
                     type_name(pointer));
  return {};
}

// The packet's length is not known, so constants and the rest of an offset are kept apart: what a
// comparison shows holds for all pointers with the same rest.
void move_in_packet(Walk& walk, Reg& pointer, uint8_t op, const Scalar& number) {
  const auto constant = number.value();
  if (constant) {
    const auto distance = static_cast<int32_t>(*constant);
    pointer.fixed += op == kAdd ? distance : -distance;
    return;
  }
  pointer.number = apply64(op == kAdd ? Op::add : Op::sub, pointer.number, number);
  pointer.id = ++walk.found.last_id;
  pointer.size = 0;
}

// The distance of two addresses in one object says nothing of where they are.
bool one_object(const Reg& a, const Reg& b) {
  const auto in_packet = [](const Reg& r) { return r.is_packet() || r.kind == Kind::packet_end; };
  return !a.or_null && !b.or_null &&
         ((in_packet(a) && in_packet(b)) || (a.kind == Kind::stack && b.kind == Kind::stack));
}

Checked<> check_pointer_operands(Walk& walk, const Reg& dst, const Reg& src) {
  const uint8_t op = insn_op(walk.insn().code);
  const unsigned n = walk.insn().dst;
  if (!wide(walk.insn())) return walk.fail(EACCES, "R{} 32-bit pointer arithmetic prohibited", n);
  if (dst.kind != Kind::scalar && src.kind != Kind::scalar)
    return walk.fail(EACCES, "R{} pointer {} pointer prohibited", n, name_of(op));
  if (op == kAnd || op == kOr || op == kXor)
    return walk.fail(EACCES, "R{} bitwise operator {} on pointer prohibited", n, name_of(op));
  if (op != kAdd && op != kSub)
    return walk.fail(EACCES, "R{} pointer arithmetic with {} operator prohibited", n, name_of(op));
  const Reg& pointer = dst.kind == Kind::scalar ? src : dst;
  if (pointer.or_null)
    return walk.fail(EACCES, "R{} pointer arithmetic on {} prohibited, null-check it first", n,
                     type_name(pointer));
  if (pointer.kind == Kind::map_ptr || pointer.kind == Kind::packet_end ||
      pointer.kind == Kind::callback || pointer.kind == Kind::gone)
    return walk.fail(EACCES, "R{} pointer arithmetic on {} prohibited", n, type_name(pointer));
  if (op == kSub && dst.kind == Kind::scalar)
    return walk.fail(EACCES, "R{} tried to subtract pointer from scalar", n);
  return {};
}

// pointer + number, number + pointer, pointer - number; pointer - pointer within one object.
Checked<> step_pointer(Walk& walk, const Reg& src) {
  const uint8_t op = insn_op(walk.insn().code);
  Reg& dst = walk.reg(walk.insn().dst);
  if (wide(walk.insn()) && op == kSub && one_object(dst, src)) {
    dst = Reg::scalar(Scalar::unknown());
    return {};
  }
  if (auto ok = check_pointer_operands(walk, dst, src); !ok) return ok;
  Reg pointer = dst.kind == Kind::scalar ? src : dst;
  const Scalar number = dst.kind == Kind::scalar ? dst.number : src.number;
  if (auto ok = check_offset(walk, pointer, number); !ok) return ok;
  if (pointer.is_packet())
    move_in_packet(walk, pointer, op, number);
  else
    pointer.number = apply64(op == kAdd ? Op::add : Op::sub, pointer.number, number);
  if (auto ok = check_offset(walk, pointer, pointer.number); !ok) return ok;
  if (pointer.fixed >= kMaxOffset || pointer.fixed <= -kMaxOffset)
    return walk.fail(EINVAL, "{} pointer offset {} is not allowed", type_name(pointer),
                     pointer.fixed);
  dst = pointer;
  return {};
}

// K62: the 64-bit operation becomes the 32-bit one, so an instruction must do it on all paths.
Checked<> note_use(Walk& walk, bool arena) {
  if (!wide(walk.insn())) return {};
  auto& facts = walk.found.facts[walk.at];
  if (arena)
    facts.arena_alu = true;
  else
    walk.found.plain_alu[walk.at] = true;
  if (facts.arena_alu && walk.found.plain_alu[walk.at])
    return walk.fail(EINVAL, "same insn cannot be used with and without arena pointer");
  return {};
}

Checked<> step_arena(Walk& walk) {
  const Insn& i = walk.insn();
  const uint8_t op = insn_op(i.code);
  const bool shifts = op == kLsh || op == kRsh || op == kArsh;
  if (shifts && !uses_register(i.code) && i.imm >= 32)
    return walk.fail(EINVAL, "invalid shift {} of an arena pointer, which has 32 bits", i.imm);
  walk.reg(i.dst) = Reg::arena();
  return {};
}

// A copy of a number that is moved by a constant is still known by what it is a copy of.
bool moves_copy(Walk& walk, const Insn& i, const Reg& src) {
  Reg& dst = walk.reg(i.dst);
  const bool constant = !uses_register(i.code) && wide(i) && insn_op(i.code) == kAdd;
  constexpr int64_t kFar = int64_t{1} << 62;
  if (!constant || dst.id == 0 || dst.delta > kFar || dst.delta < -kFar) return false;
  dst.delta += i.imm;
  dst.number = apply64(Op::add, dst.number, src.number);
  return true;
}

Checked<> step_binary(Walk& walk) {
  const Insn& i = walk.insn();
  if (uses_register(i.code))
    if (auto ok = walk.readable(i.src); !ok) return ok;
  if (auto ok = walk.readable(i.dst); !ok) return ok;
  const Reg src = uses_register(i.code) ? walk.reg(i.src) : Reg::scalar(immediate(i));
  Reg& dst = walk.reg(i.dst);
  const bool broker = dst.is_broker_pointer() || src.is_broker_pointer();
  const bool arena = !broker && (dst.kind == Kind::arena || src.kind == Kind::arena);
  if (auto ok = note_use(walk, arena); !ok) return ok;
  if (broker) return step_pointer(walk, src);
  if (arena) return step_arena(walk);
  const Op op = op_of(i);
  if (moves_copy(walk, i, src)) return {};
  dst = Reg::scalar(wide(i) ? apply64(op, dst.number, src.number)
                            : apply32(op, dst.number, src.number));
  return {};
}

}  // namespace

Checked<> step_alu(Walk& walk) {
  const Insn& i = walk.insn();
  switch (insn_op(i.code)) {
    case kMov:
      if (uses_register(i.code)) return step_mov_register(walk);
      walk.reg(i.dst) = Reg::scalar(immediate(i));
      return {};
    case kNeg:
    case kEnd:
      return step_unary(walk);
    default:
      return step_binary(walk);
  }
}

}  // namespace uarena::jit::verifier
