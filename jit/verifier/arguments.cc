// The arguments of a call, against the prototype of what is called: each kind of argument is one
// small check here. What an argument says for the others (which map, which lock) is gathered.
#include <linux/bpf.h>

#include <algorithm>
#include <cstring>

#include "jit/helpers/format.h"
#include "jit/verifier/analysis.h"

namespace uarena::jit::verifier {
namespace {

constexpr int64_t kMaxMemory = int64_t{1}
                               << 29;  // a size argument, as the kernel's BPF_MAX_VAR_SIZ

// Stack that the function fills. What was there counts for all arguments: they may overlap.
struct Filled {
  Place place;
  int64_t size;
  bool exact;
};

struct Call {
  Walk& walk;
  const FunctionDesc& function;
  Arguments found;
  std::optional<Filled> filled;

  Reg& reg(unsigned n) { return walk.reg(n); }
  ArgKind kind(unsigned n) const { return function.args[n - 1]; }
  const MapDef& map_of(uint32_t index) const { return walk.subject.object.maps[index]; }
};

std::unexpected<Fault> wrong_type(Call& call, unsigned n, std::string_view expected) {
  return call.walk.fail(EACCES, "R{} type={} expected={}", n, type_name(call.reg(n)), expected);
}

uint16_t map_kind_bit(MapKind kind) {
  switch (kind) {
    case MapKind::array:
      return kMapsArray;
    case MapKind::percpu_array:
      return kMapsPercpu;
    case MapKind::hash:
    case MapKind::lru_hash:
      return kMapsHash;
    case MapKind::ringbuf:
      return kMapsRingbuf;
    default:
      return 0;
  }
}

Checked<> check_map(Call& call, unsigned n) {
  const Reg& reg = call.reg(n);
  if (reg.kind != Kind::map_ptr) return wrong_type(call, n, "map_ptr");
  const MapDef& map = call.map_of(reg.map);
  if ((call.function.maps & map_kind_bit(map.kind)) == 0)
    return call.walk.fail(EINVAL, "cannot pass map_type {} into func {}: map `{}`", map.type,
                          call.function.name, map.name);
  call.found.map = reg.map;
  return {};
}

Checked<> check_arena_map(Call& call, unsigned n) {
  const Reg& reg = call.reg(n);
  if (reg.kind != Kind::map_ptr || call.map_of(reg.map).kind != MapKind::arena)
    return call.walk.fail(EINVAL, "arg#{} expected pointer to STRUCT bpf_map: R{} is no arena map",
                          n - 1, n);
  return {};
}

bool is_memory(const Reg& reg) {
  return !reg.or_null && (reg.kind == Kind::stack || reg.kind == Kind::map_value ||
                          reg.kind == Kind::map_key || reg.kind == Kind::memory || reg.is_packet());
}

constexpr std::string_view kMemoryTypes =
    "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_";

// `size` bytes behind R`n`, which the function reads or fills; `exact`: always that many.
Checked<> check_memory(Call& call, unsigned n, int64_t size, Access access, bool exact) {
  if (!is_memory(call.reg(n))) return wrong_type(call, n, kMemoryTypes);
  const auto place = check_bytes(call.walk, n, 0, size, access);
  if (!place) return std::unexpected(place.error());
  if (place->region != Region::stack) return {};
  if (call.kind(n) == ArgKind::values_or_null) return hand_over_values(call.walk, n, *place, size);
  if (access == Access::read) return read_stack_bytes(call.walk, n, *place, size);
  call.filled = Filled{*place, size, exact};
  return {};
}

// The number that a helper gets by address: the key of a lookup, when the path knows it.
std::optional<uint64_t> known_key(Call& call, unsigned n) {
  const Reg& reg = call.reg(n);
  const auto offset = reg.number.value();
  if (reg.kind != Kind::stack || !offset || call.map_of(*call.found.map).key_size != 4)
    return std::nullopt;
  const int off = static_cast<int>(static_cast<int64_t>(*offset));
  if (off % 4 != 0) return std::nullopt;  // parts of two numbers, as no instruction reads them
  const auto value = read_stack(call.walk, {Region::stack, reg, off, off}, 4);
  if (!value || value->kind != Kind::scalar) return std::nullopt;
  return value->number.value();
}

Checked<> check_key(Call& call, unsigned n) {
  const int64_t size = call.map_of(*call.found.map).key_size;
  if (auto ok = check_memory(call, n, size, Access::read, true); !ok) return ok;
  call.found.key = known_key(call, n);
  return {};
}

// The size argument behind a memory argument: bounds for what the function does there.
Checked<> check_size(Call& call, unsigned n) {
  const Reg& size = call.reg(n);
  const ArgKind memory = call.kind(n - 1);
  if (size.kind != Kind::scalar) return wrong_type(call, n, "scalar");
  const auto& range = size.number.full;
  if (range.smin < 0)
    return call.walk.fail(EACCES,
                          "R{} min value is negative, either use unsigned or 'var &= const'", n);
  const bool zero_allowed = call.kind(n) == ArgKind::size_or_zero;
  if (range.umin == 0 && !zero_allowed)
    return call.walk.fail(EACCES, "R{} invalid zero-sized read: u64=[{},{}]", n, range.umin,
                          range.umax);
  if (range.umax >= static_cast<uint64_t>(kMaxMemory))
    return call.walk.fail(
        EACCES, "R{} unbounded memory access, use 'var &= const' or 'if (var < const)'", n);
  call.found.size = range.umax;
  const Reg& start = call.reg(n - 1);
  const bool null = start.kind == Kind::scalar && start.number.value() == uint64_t{0};
  const bool nullable = memory == ArgKind::mem_or_null || memory == ArgKind::values_or_null;
  if (null && nullable && range.umax == 0) return {};
  if (null && nullable)
    return call.walk.fail(EACCES, "R{} type=scalar expected={}", n - 1, kMemoryTypes);
  const Access access = memory == ArgKind::uninit_mem ? Access::write : Access::read;
  return check_memory(call, n - 1, static_cast<int64_t>(range.umax), access, range.is_constant());
}

Checked<> check_constant(Call& call, unsigned n) {
  const auto value = call.reg(n).kind == Kind::scalar ? call.reg(n).number.value() : std::nullopt;
  if (!value) return call.walk.fail(EACCES, "R{} is not a known constant'", n);
  if (*value > UINT32_MAX)  // what Reg::size can say; there is no such record anyway
    return call.walk.fail(EACCES, "R{} is a size of {}: too large", n, *value);
  call.found.constant = *value;
  return {};
}

// A string of .rodata, with its NUL inside.
Checked<> check_string(Call& call, unsigned n) {
  const Reg& reg = call.reg(n);
  if (reg.kind != Kind::map_value || reg.or_null) return wrong_type(call, n, "map_value");
  const MapDef& map = call.map_of(reg.map);
  if (map.kind != MapKind::rodata)
    return call.walk.fail(EACCES, "R{} does not point to a readonly map'", n);
  const auto off = reg.number.value();
  if (!off) return call.walk.fail(EACCES, "R{} is not a constant address'", n);
  if (*off > map.initial.size())
    return call.walk.fail(EACCES, "R{} points outside of `{}`", n, map.name);
  const auto begin = map.initial.begin() + static_cast<ptrdiff_t>(*off);
  if (std::find(begin, map.initial.end(), std::byte{0}) == map.initial.end())
    return call.walk.fail(EINVAL, "string is not zero-terminated");
  return {};
}

// The format of bpf_snprintf is known here, so that it fails now and not when it runs: as many
// words of data as it wants, at least.
Checked<> check_format(Call& call, unsigned format, unsigned size) {
  const auto bytes = call.reg(size).number.value();
  if (!bytes || *bytes % 8 != 0)
    return call.walk.fail(EINVAL, "R{} is no known size of 64-bit values", size);
  const Reg& string = call.reg(format);
  const auto& data = call.map_of(string.map).initial;
  const auto from = static_cast<size_t>(string.number.value().value_or(0));
  const auto* text = reinterpret_cast<const char*>(data.data()) + from;
  const auto wanted = format_arguments({text, ::strnlen(text, data.size() - from)});
  if (!wanted || *wanted > *bytes / 8 || *bytes / 8 > kMaxFormatArguments)
    return call.walk.fail(EINVAL, "Invalid format string");
  return {};
}

struct FieldRule {
  MapField::Kind kind;
  std::string_view name;
};

FieldRule field_rule(ArgKind kind) {
  if (kind == ArgKind::timer) return {MapField::Kind::timer, "bpf_timer"};
  if (kind == ArgKind::res_spin_lock) return {MapField::Kind::res_spin_lock, "bpf_res_spin_lock"};
  return {MapField::Kind::spin_lock, "bpf_spin_lock"};
}

// A lock or a timer: exactly where the value has one.
Checked<> check_field(Call& call, unsigned n) {
  const Reg& reg = call.reg(n);
  const FieldRule rule = field_rule(call.kind(n));
  if (reg.kind != Kind::map_value || reg.or_null)
    return wrong_type(call, n,
                      rule.kind == MapField::Kind::spin_lock ? "map_value, ptr_" : "map_value");
  const auto off = reg.number.value();
  if (!off)
    return call.walk.fail(EINVAL,
                          "R{} doesn't have constant offset. {} has to be at the constant offset",
                          n, rule.name);
  const MapDef& map = call.map_of(reg.map);
  const auto field = std::ranges::find(map.fields, rule.kind, &MapField::kind);
  if (field == map.fields.end())
    return call.walk.fail(EINVAL, "map '{}' has no valid {}", map.name, rule.name);
  const bool there = std::ranges::any_of(
      map.fields, [&](const MapField& f) { return f.kind == rule.kind && f.offset == *off; });
  if (!there)
    return call.walk.fail(EINVAL, "off {} doesn't point to 'struct {}' that is at {}", *off,
                          rule.name, field->offset);
  call.found.object = n;
  return {};
}

Checked<> check_callback(Call& call, unsigned n) {
  if (call.reg(n).kind != Kind::callback) return wrong_type(call, n, "func");
  call.found.callback = call.reg(n).map;
  return {};
}

// Iterators' values are memory with a reference, too: only its kind makes it a record.
Checked<> check_record(Call& call, unsigned n) {
  const Reg& reg = call.reg(n);
  const bool record = std::ranges::any_of(call.walk.state.refs, [&](const Ref& ref) {
    return ref.kind == Ref::Kind::record && ref.id == reg.ref;
  });
  if (reg.kind != Kind::memory || reg.or_null || !record) return wrong_type(call, n, "ringbuf_mem");
  if (reg.number.value() != uint64_t{0})
    return call.walk.fail(EINVAL,
                          "R{} must have zero offset when passed to release func or trusted arg to "
                          "kfunc",
                          n);
  call.found.released = reg.ref;
  return {};
}

// An iterator or saved flags: eight aligned bytes of stack at a known place.
Checked<> check_stack_object(Call& call, unsigned n) {
  const Reg& reg = call.reg(n);
  const auto off = reg.number.value();
  const bool iterator = call.kind(n) == ArgKind::iter_num;
  const std::string_view what = iterator ? "iter_num" : "irq flag";
  if (reg.kind != Kind::stack)
    return iterator
               ? call.walk.fail(EINVAL, "arg#{} expected pointer to an iterator on stack", n - 1)
               : call.walk.fail(EINVAL, "arg#{} doesn't point to an irq flag on stack", n - 1);
  const auto at = off ? static_cast<int64_t>(*off) : 0;
  if (!off || at % 8 != 0 || at > -8 || at < -kMaxStack)
    return call.walk.fail(EINVAL, "{} has to be at a constant offset", what);
  int& depth = call.walk.found.stack_depth[call.walk.state.frames[reg.frame].subprog];
  depth = std::max(depth, static_cast<int>(-at));
  call.found.object = n;
  return {};
}

// How many values a format in R1 wants, if it is known here: a string that can't change.
std::optional<size_t> values_wanted(Call& call) {
  const Reg& reg = call.reg(1);
  const auto offset = reg.number.value();
  if (reg.kind != Kind::map_value || !offset) return std::nullopt;
  const MapDef& map = call.map_of(reg.map);
  if (map.kind != MapKind::rodata || *offset >= map.initial.size()) return std::nullopt;
  const auto* text = reinterpret_cast<const char*>(map.initial.data()) + *offset;
  return format_arguments({text, ::strnlen(text, map.initial.size() - *offset)});
}

Checked<> check_argument(Call& call, unsigned n) {
  const ArgKind kind = call.kind(n);
  if (kind == ArgKind::none) return {};
  if (kind == ArgKind::printed) return hand_over_printed(call.walk, n, values_wanted(call));
  if (auto ok = call.walk.readable(n); !ok) return ok;
  const Reg& reg = call.reg(n);
  switch (kind) {
    case ArgKind::scalar:
      if (reg.kind != Kind::scalar) return call.walk.fail(EINVAL, "R{} is not a scalar", n);
      return {};
    case ArgKind::arena:
      if (reg.is_broker_pointer())
        return call.walk.fail(EINVAL, "R{} is not a pointer to arena or scalar", n);
      return {};
    case ArgKind::map_arena:
      return check_arena_map(call, n);
    case ArgKind::map:
      return check_map(call, n);
    case ArgKind::map_key:
      return check_key(call, n);
    case ArgKind::map_value:
      return check_memory(call, n, call.map_of(*call.found.map).value_size, Access::read, true);
    case ArgKind::size:
    case ArgKind::size_or_zero:
      return check_size(call, n);
    case ArgKind::constant_size:
      return check_constant(call, n);
    case ArgKind::ctx:
      if (reg.kind != Kind::ctx) return wrong_type(call, n, "ctx");
      if (reg.number.value() != uint64_t{0})
        return call.walk.fail(EACCES, "dereference of modified ctx ptr R{} off={} disallowed", n,
                              to_string(reg.number));
      return {};
    case ArgKind::const_string:
      return check_string(call, n);
    case ArgKind::spin_lock:
    case ArgKind::res_spin_lock:
    case ArgKind::timer:
      return check_field(call, n);
    case ArgKind::callback:
      return check_callback(call, n);
    case ArgKind::stack_or_null:
      if (reg.kind == Kind::stack) return {};
      if (reg.kind == Kind::scalar && reg.number.value() == uint64_t{0}) return {};
      return wrong_type(call, n, "fp");
    case ArgKind::iter_num:
    case ArgKind::irq_flags:
      return check_stack_object(call, n);
    case ArgKind::ringbuf_record:
      return check_record(call, n);
    case ArgKind::anything:  // K72
      if (reg.is_broker_pointer())
        return call.walk.fail(EACCES, "R{} leaks addr into helper function", n);
      return {};
    case ArgKind::followed:
      return hand_over_argument(call.walk, n);
    default:  // memory is checked with its size, which is the next argument
      return {};
  }
}

}  // namespace

Checked<Arguments> check_arguments(Walk& walk, const FunctionDesc& function) {
  Call call{walk, function, {}, {}};
  for (unsigned n = 1; n <= 5; ++n)
    if (auto ok = check_argument(call, n); !ok) return std::unexpected(ok.error());
  if (function.helper == BPF_FUNC_snprintf)
    if (auto ok = check_format(call, 3, 5); !ok) return std::unexpected(ok.error());
  if (call.filled)
    fill_stack_bytes(walk, call.filled->place, call.filled->size, call.filled->exact);
  return call.found;
}

}  // namespace uarena::jit::verifier
