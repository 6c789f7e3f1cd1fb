// Loads and stores. Outside the arena compiled code accesses memory with no check at run time, so
// every byte must be shown to lie inside the stack frame, the map value or the context here. Arena
// accesses are confined by construction (K48, K69).
#include <algorithm>
#include <cstring>

#include "jit/verifier/analysis.h"

namespace uarena::jit::verifier {
namespace {

constexpr int64_t kMaxCtx = 65535;

// K73: fix-up lowers an instruction one way for all paths.
Checked<> mark_region(Walk& walk, Region region) {
  Region& known = walk.found.facts[walk.at].region;
  auto special = [](Region r) { return r == Region::arena || r == Region::ctx; };
  if (known != Region::none && known != region && (special(known) || special(region)))
    return walk.fail(EINVAL, "same insn cannot be used with different pointers");
  known = region;
  return {};
}

Checked<Place> stack_place(Walk& walk, const Reg& base, unsigned n, unsigned bytes, Access access) {
  const char* way = access == Access::read ? "read from" : "write to";
  const auto start = base.number.value();
  if (!start)
    return walk.fail(EACCES, "invalid variable-offset {} stack R{} off={}", way, n,
                     to_string(base.number));
  const int64_t off =
      static_cast<int64_t>(*start + static_cast<uint64_t>(int64_t{walk.insn().off}));
  if (off < -kMaxStack || off > -static_cast<int64_t>(bytes))
    return walk.fail(EACCES, "invalid {} stack R{} off={} size={}, a frame has {} bytes", way, n,
                     off, bytes, kMaxStack);
  if (off % static_cast<int64_t>(bytes) != 0)
    return walk.fail(EACCES, "misaligned stack access off {} size {}", off, bytes);
  int& depth = walk.found.stack_depth[walk.state.frames[base.frame].subprog];
  depth = std::max(depth, static_cast<int>(-off));
  return Place{Region::stack, base, static_cast<int>(off)};
}

Checked<Place> map_place(Walk& walk, const Reg& base, unsigned n, unsigned bytes, Access access) {
  const MapDef& map = walk.subject.object.maps[base.map];
  const int64_t off = walk.insn().off;
  const auto& range = base.number.full;
  if (range.is_constant()) {
    const auto at = static_cast<int64_t>(range.umin + static_cast<uint64_t>(off));
    if (at < 0 || at > int64_t{map.value_size} - static_cast<int64_t>(bytes))
      return walk.fail(EACCES, "invalid access to map value, value_size={} off={} size={} (`{}`)",
                       map.value_size, at, bytes, map.name);
  } else {
    constexpr int64_t kFar = int64_t{1} << 32;  // beyond any value; keeps the sums below exact
    if (range.smin < -kFar || range.smin + off < 0)
      return walk.fail(
          EACCES,
          "R{} min value is negative, either use unsigned index or do a if (index >=0) "
          "check (off={} of `{}`)",
          n, to_string(base.number), map.name);
    if (range.smax > kFar)
      return walk.fail(EACCES,
                       "R{} unbounded memory access, make sure to bounds check any such access "
                       "(off={} of `{}`)",
                       n, to_string(base.number), map.name);
    if (range.smax + off > int64_t{map.value_size} - static_cast<int64_t>(bytes))
      return walk.fail(
          EACCES,
          "R{} max value is outside of the allowed memory range: invalid access to map "
          "value, value_size={} off={} size={} (`{}`)",
          n, map.value_size, range.smax + off, bytes, map.name);
  }
  const bool only_reads =
      access == Access::read || (access == Access::atomic && walk.insn().imm == kLoadAcq);
  if (!only_reads && map.kind == MapKind::rodata)
    return walk.fail(EACCES, "write into map forbidden, `{}` is read-only", map.name);
  const uint64_t off_bits = static_cast<uint64_t>(off);
  const Tnum<uint64_t> address = range.bits + Tnum<uint64_t>::constant(off_bits);
  if (access == Access::atomic && (address.max() & (bytes - 1)) != 0)
    return walk.fail(EACCES, "misaligned value access off {}{:+} size {}", to_string(base.number),
                     off, bytes);
  return Place{Region::map_value, base, 0};
}

Checked<Place> ctx_place(Walk& walk, const Reg& base, unsigned n, unsigned bytes) {
  const auto start = base.number.value();
  if (!start)
    return walk.fail(EACCES, "variable ctx access R{} off={} disallowed", n,
                     to_string(base.number));
  const auto off = static_cast<int64_t>(*start + static_cast<uint64_t>(int64_t{walk.insn().off}));
  if (off < 0 || off > kMaxCtx - static_cast<int64_t>(bytes) ||
      off % static_cast<int64_t>(bytes) != 0)
    return walk.fail(EACCES,
                     "invalid bpf_context access off={} size={}, allowed are aligned ones within "
                     "0..{}",
                     off, bytes, kMaxCtx);
  walk.found.ctx_size = std::max(walk.found.ctx_size, static_cast<uint32_t>(off + bytes));
  return Place{Region::ctx, base, static_cast<int>(off)};
}

Slot* slot_at(Walk& walk, const Place& place) {
  auto& stack = walk.state.frames[place.base.frame].stack;
  const auto index = static_cast<size_t>((-place.offset - 1) / 8);
  return index < stack.size() ? &stack[index] : nullptr;
}

size_t byte_in_slot(int offset) { return 7 - static_cast<size_t>((-offset - 1) % 8); }

// A constant of .rodata, which nothing can change once the program is loaded.
std::optional<uint64_t> constant_at(const MapDef& map, const Scalar& offset, int16_t off,
                                    unsigned bytes) {
  if (map.kind != MapKind::rodata || !offset.is_constant()) return std::nullopt;
  const uint64_t at = *offset.value() + static_cast<uint64_t>(int64_t{off});
  if (at > map.initial.size() || map.initial.size() - at < bytes) return std::nullopt;
  uint64_t value = 0;
  std::memcpy(&value, map.initial.data() + at, bytes);
  return value;
}

Checked<Reg> loaded(Walk& walk, const Place& place, unsigned bytes) {
  if (place.region == Region::stack) return read_stack(walk, place, bytes);
  if (place.region == Region::map_value) {
    const MapDef& map = walk.subject.object.maps[place.base.map];
    if (const auto v = constant_at(map, place.base.number, walk.insn().off, bytes))
      return Reg::scalar(Scalar::constant(*v));
  }
  return Reg::scalar(Scalar::of_bytes(bytes));
}

}  // namespace

Checked<Place> check_access(Walk& walk, unsigned n, Access access) {
  if (auto ok = walk.readable(n); !ok) return std::unexpected(ok.error());
  const Reg base = walk.reg(n);
  const unsigned bytes = access_bytes(walk.insn().code);
  Checked<Place> place;
  switch (base.kind) {
    case Kind::arena:
      place = Place{Region::arena, base, 0};
      break;
    case Kind::stack:
      place = stack_place(walk, base, n, bytes, access);
      break;
    case Kind::map_value:
      place = map_place(walk, base, n, bytes, access);
      break;
    case Kind::ctx:
      place = ctx_place(walk, base, n, bytes);
      break;
    case Kind::map_ptr:
      if (access == Access::read)
        return walk.fail(EACCES, "R{} points to map `{}` itself, whose fields cannot be read here",
                         n, walk.subject.object.maps[base.map].name);
      return walk.fail(EACCES, "only read from bpf_arena is supported");
    default:
      return walk.fail(EACCES, "R{} invalid mem access 'scalar'", n);
  }
  if (!place) return place;
  if (auto ok = mark_region(walk, place->region); !ok) return std::unexpected(ok.error());
  return place;
}

Checked<Reg> read_stack(Walk& walk, const Place& place, unsigned bytes) {
  const Slot* slot = slot_at(walk, place);
  const size_t first = byte_in_slot(place.offset);
  if (slot != nullptr && slot->is_spill()) {
    const Reg& reg = slot->spilled;
    if (bytes == 8) return reg;
    if (reg.is_broker_pointer())
      return walk.fail(EACCES, "invalid size of register fill: {} of 8 bytes of a pointer", bytes);
    if (reg.kind != Kind::scalar) return Reg::scalar(Scalar::of_bytes(bytes));
    return Reg::scalar(
        low_bits(apply64(Op::rsh, reg.number, Scalar::constant(first * 8)), bytes * 8));
  }
  bool zero = slot != nullptr;
  for (size_t n = first; n < first + bytes; ++n) {
    if (slot == nullptr || slot->bytes[n] == Byte::uninit)
      return walk.fail(EACCES, "invalid read from stack off {}+{} size {}: not initialised",
                       place.offset, n - first, bytes);
    zero = zero && slot->bytes[n] == Byte::zero;
  }
  return Reg::scalar(zero ? Scalar::constant(0) : Scalar::of_bytes(bytes));
}

Checked<> write_stack(Walk& walk, const Place& place, unsigned bytes, const Reg& value) {
  if (value.is_broker_pointer() && bytes != 8)
    return walk.fail(EACCES, "invalid size of register spill: {} of 8 bytes of a pointer", bytes);
  if (value.kind == Kind::stack && value.frame > place.base.frame)
    return walk.fail(EINVAL, "cannot spill pointers to stack into stack frame of the caller");
  auto& stack = walk.state.frames[place.base.frame].stack;
  const auto index = static_cast<size_t>((-place.offset - 1) / 8);
  if (stack.size() <= index) stack.resize(index + 1);
  Slot& slot = stack[index];
  if (bytes == 8) {
    slot.set_spill(value);
    return {};
  }
  if (slot.is_spill()) {
    if (slot.spilled.is_broker_pointer())
      return walk.fail(EACCES, "attempt to corrupt spilled pointer on stack");
    slot.set_all(Byte::misc);
  }
  const bool zero = value.kind == Kind::scalar && value.number.value() == uint64_t{0};
  const size_t first = byte_in_slot(place.offset);
  for (size_t n = first; n < first + bytes; ++n) slot.bytes[n] = zero ? Byte::zero : Byte::misc;
  return {};
}

Checked<> step_load(Walk& walk) {
  const Insn& i = walk.insn();
  const auto place = check_access(walk, i.src, Access::read);
  if (!place) return std::unexpected(place.error());
  const unsigned bytes = access_bytes(i.code);
  auto value = loaded(walk, *place, bytes);
  if (!value) return std::unexpected(value.error());
  if (insn_mode(i.code) == kMemsx) *value = Reg::scalar(sign_extended64(value->number, bytes * 8));
  walk.reg(i.dst) = *value;
  return {};
}

Checked<> step_store(Walk& walk) {
  const Insn& i = walk.insn();
  const bool from_register = insn_class(i.code) == kStx;
  if (from_register)
    if (auto ok = walk.readable(i.src); !ok) return ok;
  const auto place = check_access(walk, i.dst, Access::write);
  if (!place) return std::unexpected(place.error());
  const unsigned bytes = access_bytes(i.code);
  if (place->region != Region::stack) {
    if (from_register && walk.reg(i.src).is_broker_pointer())
      return walk.fail(EACCES, "R{} leaks addr into mem", unsigned{i.src});
    return {};
  }
  if (!from_register)
    return write_stack(walk, *place, bytes,
                       Reg::scalar(Scalar::constant(static_cast<uint64_t>(int64_t{i.imm}))));
  Reg& src = walk.reg(i.src);
  if (bytes == 8 && src.kind == Kind::scalar) walk.give_id(src);
  return write_stack(walk, *place, bytes, Reg(src));
}

}  // namespace uarena::jit::verifier
