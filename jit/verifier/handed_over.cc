// What a call hands to a function that prints or follows it (own_pointers.h). What the function is
// told is fixed for the instruction, so a value is a pointer of the program's own on all paths or
// on none; 0 is neither. Of the bytes that may be read behind it, the fewest of all paths count.
#include <algorithm>

#include "jit/verifier/analysis.h"

namespace uarena::jit::verifier {
namespace {

// Bytes of a map value that no field begins in, from any of the pointer's places on.
int64_t value_bytes_behind(const MapDef& map, const Range<uint64_t>& at) {
  int64_t bytes = int64_t{map.value_size} - at.smax;
  for (const MapField& field : map.fields)
    if (int64_t{field.offset} + field.size > at.smin)
      bytes = std::min(bytes, int64_t{field.offset} - at.smax);
  return bytes;
}

// The context of a program that looks at packets has addresses in it.
uint32_t context_bytes(ProgramType type) {
  const bool plain = type == ProgramType::syscall || type == ProgramType::raw_tracepoint;
  return plain ? OwnPointers::kToContextEnd : 0;
}

uint32_t bytes_behind(Walk& walk, const Reg& reg) {
  const auto& at = reg.number.full;
  if (reg.kind == Kind::stack) return stack_bytes_behind(walk, reg);
  if (reg.kind == Kind::ctx) return context_bytes(walk.subject.type);
  if (at.smin < 0 || at.smax > INT32_MAX) return 0;
  int64_t bytes = 0;
  switch (reg.kind) {
    case Kind::map_value:
      bytes = value_bytes_behind(walk.subject.object.maps[reg.map], at);
      break;
    case Kind::map_key:
      bytes = int64_t{walk.subject.object.maps[reg.map].key_size} - at.smax;
      break;
    case Kind::memory:
      bytes = int64_t{reg.size} - at.smax;
      break;
    case Kind::packet:
    case Kind::packet_meta:
      bytes = reg.fixed < 0 ? 0 : int64_t{reg.size} - reg.fixed;
      break;
    default:
      break;
  }
  return static_cast<uint32_t>(std::clamp<int64_t>(bytes, 0, INT32_MAX));
}

void hide(HandedOver& known, size_t value) {
  known.unknown |= uint32_t{1} << value;
  known.pointers.own |= uint32_t{1} << value;
  known.pointers.bytes[value] = 0;
}

Checked<> hand_over(Walk& walk, size_t value, const Reg& reg) {
  HandedOver& known = walk.found.handed[walk.at];
  if ((known.unknown >> value & 1) != 0) return {};
  const uint32_t bit = uint32_t{1} << value;
  if (reg.is_broker_pointer()) {
    const uint32_t bytes = bytes_behind(walk, reg);
    uint32_t& fewest = known.pointers.bytes[value];
    fewest = known.pointers.is_own(value) ? std::min(fewest, bytes) : bytes;
    known.pointers.own |= bit;
  } else if (reg.kind != Kind::scalar || reg.number.value() != uint64_t{0}) {
    known.numbers |= bit;
  }
  if ((known.pointers.own & known.numbers) != 0)
    return walk.fail(EINVAL, "same insn cannot be used with different pointers");
  return {};
}

}  // namespace

Checked<> hand_over_argument(Walk& walk, unsigned n) {
  return hand_over(walk, OwnPointers::argument(n), walk.reg(n));
}

// What the format does not want may be anything that an earlier instruction has left there.
Checked<> hand_over_printed(Walk& walk, unsigned n, std::optional<size_t> wanted) {
  constexpr unsigned kFirst = 3;
  const size_t value = OwnPointers::argument(n);
  if (walk.reg(n).kind == Kind::uninit || (wanted && n - kFirst >= *wanted)) {
    hide(walk.found.handed[walk.at], value);
    return {};
  }
  auto handed = hand_over(walk, value, walk.reg(n));
  if (handed || wanted) return handed;
  hide(walk.found.handed[walk.at], value);
  return {};
}

Checked<> hand_over_values(Walk& walk, unsigned n, const Place& place, int64_t size) {
  const bool known_place = place.offset == place.last && place.offset % 8 == 0;
  const int64_t words = known_place ? std::min<int64_t>(size / 8, kMaxFormatArguments) : 0;
  for (int64_t w = 0; w < words; ++w) {
    Place word = place;
    word.offset = word.last = place.offset + static_cast<int>(8 * w);
    const auto value = read_stack(walk, word, 8);
    if (!value) return std::unexpected(value.error());
    if (auto ok = hand_over(walk, OwnPointers::word(static_cast<size_t>(w)), *value); !ok)
      return ok;
  }
  Place rest = place;
  rest.offset += static_cast<int>(8 * words);
  rest.last += static_cast<int>(8 * words);
  return read_stack_bytes(walk, n, rest, size - 8 * words);
}

}  // namespace uarena::jit::verifier
