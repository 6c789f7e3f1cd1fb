// Loads and stores. Outside the arena compiled code accesses memory with no check at run time, so
// every byte must be shown to lie inside the stack, the map value, the packet or whatever else the
// register points to. Arena accesses are confined by construction (K48, K69).
#include <algorithm>
#include <cstring>

#include "jit/verifier/analysis.h"

namespace uarena::jit::verifier {
namespace {

constexpr int64_t kFar = int64_t{1} << 32;  // beyond any object; keeps sums of offsets exact

// K73: fix-up lowers an instruction one way for all paths.
Checked<> mark_region(Walk& walk, Region region) {
  Region& known = walk.found.facts[walk.at].region;
  auto special = [](Region r) { return r == Region::arena || r == Region::ctx; };
  if (known != Region::none && known != region && (special(known) || special(region)))
    return walk.fail(EINVAL, "same insn cannot be used with different pointers");
  known = region;
  return {};
}

// What a pointer points into: its size, its name in messages.
struct Extent {
  int64_t size = 0;
  std::string what;  // "map value, value_size=8"
  std::string name;  // " (`counters`)", or nothing
};

Extent extent_of(Walk& walk, const Reg& base) {
  if (base.kind == Kind::memory)
    return {base.size, fmt::format("memory, mem_size={}", base.size), {}};
  const MapDef& map = walk.subject.object.maps[base.map];
  const std::string name = fmt::format(" (`{}`)", map.name);
  if (base.kind == Kind::map_key)
    return {map.key_size, fmt::format("map key, key_size={}", map.key_size), name};
  return {map.value_size, fmt::format("map value, value_size={}", map.value_size), name};
}

Checked<> check_inside(Walk& walk, const Reg& base, unsigned n, int64_t off, int64_t size) {
  const Extent extent = extent_of(walk, base);
  const auto& range = base.number.full;
  const auto outside = [&](int64_t at) {
    return at < 0 || at > extent.size || size > extent.size - at;
  };
  if (range.is_constant()) {
    const auto at = static_cast<int64_t>(range.umin + static_cast<uint64_t>(off));
    if (outside(at))
      return walk.fail(EACCES, "invalid access to {} off={} size={}{}", extent.what, at, size,
                       extent.name);
    return {};
  }
  if (range.smin < -kFar || range.smin + off < 0)
    return walk.fail(EACCES,
                     "R{} min value is negative, either use unsigned index or do a if (index >=0) "
                     "check. (off={}{})",
                     n, to_string(base.number), extent.name);
  if (range.smax > kFar)
    return walk.fail(EACCES,
                     "R{} unbounded memory access, make sure to bounds check any such access "
                     "(off={}{})",
                     n, to_string(base.number), extent.name);
  if (outside(range.smin + off))
    return walk.fail(EACCES, "R{} min value is outside of the allowed memory range: off={}{}", n,
                     range.smin + off, extent.name);
  if (outside(range.smax + off))
    return walk.fail(EACCES,
                     "R{} max value is outside of the allowed memory range: invalid access to {} "
                     "off={} size={}{}",
                     n, extent.what, range.smax + off, size, extent.name);
  return {};
}

std::string_view field_name(MapField::Kind kind) {
  switch (kind) {
    case MapField::Kind::spin_lock:
      return "bpf_spin_lock";
    case MapField::Kind::res_spin_lock:
      return "bpf_res_spin_lock";
    case MapField::Kind::timer:
      break;
  }
  return "bpf_timer";
}

// Locks and timers in a value belong to the functions that work on them.
Checked<> check_fields(Walk& walk, const Reg& base, int64_t off, int64_t size) {
  const auto& range = base.number.full;
  for (const MapField& field : walk.subject.object.maps[base.map].fields) {
    const bool before = range.smax + off + size <= int64_t{field.offset};
    const bool behind = range.smin + off >= int64_t{field.offset} + field.size;
    if (!before && !behind)
      return walk.fail(EACCES, "{} cannot be accessed directly by load/store",
                       field_name(field.kind));
  }
  return {};
}

bool read_only(const MapDef& map) {
  return map.kind == MapKind::rodata || map.kind == MapKind::kconfig;
}

Checked<> check_map_value(Walk& walk, const Reg& base, unsigned n, int64_t off, int64_t size,
                          Access access) {
  const MapDef& map = walk.subject.object.maps[base.map];
  if (auto ok = check_inside(walk, base, n, off, size); !ok) return ok;
  if (auto ok = check_fields(walk, base, off, size); !ok) return ok;
  if (access != Access::read && read_only(map))
    return walk.fail(EACCES, "write into map forbidden, value_size={} (`{}` is read-only)",
                     map.value_size, map.name);
  return {};
}

// Bytes behind `number` are known to be there where a comparison with the end has shown it.
Checked<> check_packet(Walk& walk, const Reg& base, unsigned n, int64_t off, int64_t size,
                       Access access) {
  if (access != Access::read && walk.subject.type == ProgramType::socket_filter)
    return walk.fail(EACCES, "cannot write into packet");
  if (base.number.full.smin < 0)
    return walk.fail(EACCES,
                     "R{} min value is negative, either use unsigned index or do a if (index >=0) "
                     "check.",
                     n);
  const int64_t at = int64_t{base.fixed} + off;
  if (at < 0 || at > int64_t{base.size} || size > int64_t{base.size} - at)
    return walk.fail(EACCES,
                     "invalid access to packet, off={} size={}, R{}(id={},off={},r={}): R{} offset "
                     "is outside of the packet",
                     at, size, n, base.id, base.fixed, base.size, n);
  return {};
}

Checked<> check_alignment(Walk& walk, const Place& place, unsigned bytes, Access access) {
  const Reg& base = place.base;
  const bool strict = base.kind == Kind::stack || (access == Access::atomic && !base.is_packet());
  if (!strict) return {};
  const int64_t off = walk.insn().off;
  const Tnum<uint64_t> address =
      base.number.full.bits + Tnum<uint64_t>::constant(static_cast<uint64_t>(off));
  if ((address.max() & (bytes - 1)) == 0) return {};
  if (base.kind == Kind::stack)
    return walk.fail(EACCES, "misaligned stack access off {}+{} size {}", to_string(base.number),
                     off, bytes);
  return walk.fail(EACCES, "misaligned value access off {}{:+} size {}", to_string(base.number),
                   off, bytes);
}

// A constant of .rodata or .kconfig, which nothing can change once the program is loaded.
std::optional<uint64_t> constant_at(const MapDef& map, const Scalar& offset, int16_t off,
                                    unsigned bytes) {
  if (!read_only(map) || !offset.is_constant()) return std::nullopt;
  const uint64_t at = *offset.value() + static_cast<uint64_t>(int64_t{off});
  if (at > map.initial.size() || map.initial.size() - at < bytes) return std::nullopt;
  uint64_t value = 0;
  std::memcpy(&value, map.initial.data() + at, bytes);
  return value;
}

Checked<Reg> loaded(Walk& walk, const Place& place, unsigned bytes) {
  if (place.region == Region::stack) return read_stack(walk, place, bytes);
  if (place.region == Region::ctx) return read_ctx(walk, place, bytes);
  if (place.base.kind == Kind::map_value) {
    const MapDef& map = walk.subject.object.maps[place.base.map];
    if (const auto v = constant_at(map, place.base.number, walk.insn().off, bytes))
      return Reg::scalar(Scalar::constant(*v));
  }
  return Reg::scalar(Scalar::of_bytes(bytes));
}

}  // namespace

Checked<Place> check_bytes(Walk& walk, unsigned n, int64_t off, int64_t size, Access access) {
  const Reg base = walk.reg(n);
  Checked<> ok;
  Region region = Region::memory;
  switch (base.or_null ? Kind::uninit : base.kind) {
    case Kind::stack:
      return stack_place(walk, base, n, off, size, access);
    case Kind::map_value:
      region = Region::map_value;
      ok = check_map_value(walk, base, n, off, size, access);
      break;
    case Kind::map_key:
      if (access != Access::read)
        ok = walk.fail(EACCES, "write to change key R{} not allowed", n);
      else
        ok = check_inside(walk, base, n, off, size);
      break;
    case Kind::memory:
      if (access != Access::read && base.read_only)
        ok = walk.fail(EACCES, "R{} cannot write into rdonly_mem", n);
      else
        ok = check_inside(walk, base, n, off, size);
      break;
    case Kind::packet:
    case Kind::packet_meta:
      region = Region::packet;
      ok = check_packet(walk, base, n, off, size, access);
      break;
    case Kind::map_ptr:
      if (access == Access::read)
        ok = walk.fail(EACCES, "R{} points to map `{}` itself, whose fields cannot be read here", n,
                       walk.subject.object.maps[base.map].name);
      else
        ok = walk.fail(EACCES, "only read from bpf_arena is supported");
      break;
    default:
      ok = walk.fail(EACCES, "R{} invalid mem access '{}'", n, type_name(base));
  }
  if (!ok) return std::unexpected(ok.error());
  return Place{region, base, 0, 0};
}

Checked<Place> check_access(Walk& walk, unsigned n, Access access) {
  if (auto ok = walk.readable(n); !ok) return std::unexpected(ok.error());
  const Reg& base = walk.reg(n);
  const unsigned bytes = access_bytes(walk.insn().code);
  if (access == Access::atomic && walk.insn().imm == kLoadAcq) access = Access::read;
  const bool atomic =
      insn_class(walk.insn().code) == kStx && insn_mode(walk.insn().code) == kAtomic;
  Checked<Place> place;
  if (base.kind == Kind::arena)
    place = Place{Region::arena, base, 0, 0};
  else if (base.kind == Kind::ctx)
    place = ctx_place(walk, base, n, bytes, access);
  else
    place = check_bytes(walk, n, walk.insn().off, bytes, access);
  if (!place) return place;
  if (place->region != Region::arena && place->region != Region::ctx)
    if (auto ok = check_alignment(walk, *place, bytes, atomic ? Access::atomic : access); !ok)
      return std::unexpected(ok.error());
  if (auto ok = mark_region(walk, place->region); !ok) return std::unexpected(ok.error());
  return place;
}

Checked<> step_load(Walk& walk) {
  const Insn& i = walk.insn();
  const auto place = check_access(walk, i.src, Access::read);
  if (!place) return std::unexpected(place.error());
  const unsigned bytes = access_bytes(i.code);
  auto value = loaded(walk, *place, bytes);
  if (!value) return std::unexpected(value.error());
  if (insn_mode(i.code) == kMemsx) {
    if (value->kind != Kind::scalar && value->kind != Kind::arena)
      return walk.fail(EACCES, "R{} sign-extension part of pointer", unsigned{i.src});
    *value = Reg::scalar(sign_extended64(value->number, bytes * 8));
  }
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
  if (bytes >= 4 && src.kind == Kind::scalar) walk.give_id(src);
  return write_stack(walk, *place, bytes, Reg(src));
}

}  // namespace uarena::jit::verifier
