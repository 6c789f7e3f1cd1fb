// The stack: 512 bytes below each frame pointer, whose contents are followed slot by slot. A
// program may read what it has not written: such a frame is zeroed when it is entered. What it may
// not read as a number is an address, or a part of one.
#include <algorithm>

#include "jit/verifier/analysis.h"

namespace uarena::jit::verifier {
namespace {

size_t slot_index(int offset) { return static_cast<size_t>((-offset - 1) / 8); }
size_t byte_in_slot(int offset) { return 7 - static_cast<size_t>((-offset - 1) % 8); }

Frame& frame_of(Walk& walk, const Place& place) { return walk.state.frames[place.base.frame]; }

const Slot* find_slot(Walk& walk, const Place& place, int offset) {
  const auto& stack = frame_of(walk, place).stack;
  const size_t index = slot_index(offset);
  return index < stack.size() ? &stack[index] : nullptr;
}

void note_uninit(Walk& walk, const Place& place) {
  walk.found.reads_uninit[frame_of(walk, place).subprog] = true;
}

// Whether bytes [first, first + bytes) of the slot may be read as a number. 0: all of them are 0.
Checked<Scalar> number_in(Walk& walk, const Place& place, const Slot* slot, size_t first,
                          unsigned bytes) {
  if (slot == nullptr) {
    note_uninit(walk, place);
    return Scalar::of_bytes(bytes);
  }
  bool zero = true;
  for (size_t n = first; n < first + bytes; ++n) {
    const Byte b = slot->bytes[n];
    if (b == Byte::lost || slot->is_special())
      return walk.fail(EACCES, "invalid read from stack off {}+{} size {}", place.offset, n - first,
                       bytes);
    if (b == Byte::uninit) note_uninit(walk, place);
    zero = zero && b == Byte::zero;
  }
  const bool narrow = bytes == 4 && slot->bytes[first] == Byte::spill && !slot->is_spill();
  if (narrow && first % 4 == 0) return slot->spilled.number;
  return zero ? Scalar::constant(0) : Scalar::of_bytes(bytes);
}

// Any of several places: nothing is known of the value, but none of them may hold an address.
Checked<> check_readable_bytes(Walk& walk, const Place& place, int from, int to, unsigned n) {
  for (int off = from; off < to; ++off) {
    const Slot* slot = find_slot(walk, place, off);
    if (slot == nullptr || slot->bytes[byte_in_slot(off)] == Byte::uninit) {
      note_uninit(walk, place);
      continue;
    }
    if (slot->is_pointer() || slot->is_special() || slot->bytes[byte_in_slot(off)] == Byte::lost)
      return walk.fail(EACCES, "R{} invalid read from stack off {}: the byte is not a number's", n,
                       off);
  }
  return {};
}

// An iterator that is written over can't be given back any more, so no program does this and ends;
// but one that goes on for ever must not read through its value's pointer what is there now.
void end_special(Walk& walk, Slot& slot) {
  if (!slot.is_special()) return;
  const uint32_t ref = slot.spilled.ref;
  slot.set_all(Byte::misc);
  walk.state.take_back_pointers(ref);
}

// A write that covers bytes [first, first + bytes) of the slot ends what was known of them.
void forget_bytes(Slot& slot, size_t first, size_t bytes) {
  if (slot.is_pointer()) {
    slot.set_all(Byte::lost);
  } else if (slot.has_spill()) {
    const size_t run = slot.bytes[0] == Byte::spill ? 0 : 4;
    const size_t end = slot.bytes[7] == Byte::spill ? 8 : 4;
    if (first < end && run < first + bytes)
      std::replace(slot.bytes.begin(), slot.bytes.end(), Byte::spill, Byte::misc);
  }
}

void write_number(Slot& slot, size_t first, unsigned bytes, const Reg& value) {
  const bool number = value.kind == Kind::scalar;
  const bool zero = number && value.number.value() == uint64_t{0};
  if (bytes == 4 && number && !zero) {
    std::replace(slot.bytes.begin(), slot.bytes.end(), Byte::spill, Byte::misc);
    std::fill_n(slot.bytes.begin() + static_cast<ptrdiff_t>(first), 4, Byte::spill);
    slot.spilled = Reg::scalar(truncated32(value.number));
    if (value.number.full.umax > UINT32_MAX) return;
    slot.spilled.id = value.id;
    slot.spilled.delta = value.delta;
    return;
  }
  std::fill_n(slot.bytes.begin() + static_cast<ptrdiff_t>(first), bytes,
              zero ? Byte::zero : Byte::misc);
}

bool is_zero(const Slot& slot) {
  return slot.is_spill() && slot.spilled.kind == Kind::scalar &&
         slot.spilled.number.value() == uint64_t{0};
}

// One of several places gets the value: none of them is what it was, none is surely written.
Checked<> write_somewhere(Walk& walk, const Place& place, unsigned bytes, const Reg& value) {
  if (value.is_broker_pointer())
    return walk.fail(EACCES,
                     "invalid variable-offset write to stack: a pointer needs a known place");
  const bool zero = value.kind == Kind::scalar && value.number.value() == uint64_t{0};
  for (int off = place.offset; off < place.last + static_cast<int>(bytes); ++off) {
    Slot& slot = stack_slot(walk, {place.region, place.base, off, off});
    const size_t n = byte_in_slot(off);
    if (zero && is_zero(slot)) continue;
    end_special(walk, slot);
    forget_bytes(slot, n, 1);
    if (slot.bytes[n] == Byte::zero && !zero) slot.bytes[n] = Byte::misc;
  }
  return {};
}

}  // namespace

Slot& stack_slot(Walk& walk, const Place& place) {
  auto& stack = frame_of(walk, place).stack;
  const size_t index = slot_index(place.offset);
  if (stack.size() <= index) stack.resize(index + 1);
  return stack[index];
}

Checked<Place> stack_place(Walk& walk, const Reg& base, unsigned n, int64_t off, int64_t size,
                           Access access) {
  const char* way = access == Access::read ? "read from" : "write to";
  constexpr int64_t kFar = int64_t{1} << 29;  // keeps the sums below exact
  const auto& range = base.number.full;
  if (range.smin < -kFar || range.smax > kFar)
    return walk.fail(EACCES, "invalid unbounded variable-offset {} stack R{}", way, n);
  const int64_t first = range.smin + off, last = range.smax + off;
  if (first < -kMaxStack || last > -size) {
    if (range.is_constant())
      return walk.fail(EACCES, "invalid {} stack R{} off={} size={}", way, n, first, size);
    return walk.fail(EACCES, "invalid variable-offset {} stack R{} off={} size={}", way, n,
                     to_string(base.number), size);
  }
  int& depth = walk.found.stack_depth[walk.state.frames[base.frame].subprog];
  depth = std::max(depth, static_cast<int>(-first));
  return Place{Region::stack, base, static_cast<int>(first), static_cast<int>(last)};
}

Checked<Reg> read_stack(Walk& walk, const Place& place, unsigned bytes) {
  if (place.last != place.offset) {
    if (auto ok = check_readable_bytes(walk, place, place.offset,
                                       place.last + static_cast<int>(bytes), walk.insn().src);
        !ok)
      return std::unexpected(ok.error());
    return Reg::scalar(Scalar::of_bytes(bytes));
  }
  const Slot* slot = find_slot(walk, place, place.offset);
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
  const auto number = number_in(walk, place, slot, first, bytes);
  if (!number) return std::unexpected(number.error());
  const Reg value = Reg::scalar(*number);
  const bool narrow = slot != nullptr && bytes == 4 && slot->bytes[first] == Byte::spill;
  return narrow ? slot->spilled : value;
}

Checked<> write_stack(Walk& walk, const Place& place, unsigned bytes, const Reg& value) {
  if (value.is_broker_pointer() && bytes != 8)
    return walk.fail(EACCES, "invalid size of register spill: {} of 8 bytes of a pointer", bytes);
  if (value.kind == Kind::stack && value.frame > place.base.frame)
    return walk.fail(EINVAL, "cannot spill pointers to stack into stack frame of the caller");
  if (place.last != place.offset) return write_somewhere(walk, place, bytes, value);
  Slot& slot = stack_slot(walk, place);
  end_special(walk, slot);
  if (bytes == 8) {
    slot.set_spill(value);
    return {};
  }
  const size_t first = byte_in_slot(place.offset);
  forget_bytes(slot, first, bytes);
  write_number(slot, first, bytes, value);
  return {};
}

uint32_t stack_bytes_behind(Walk& walk, const Reg& base) {
  const auto& range = base.number.full;
  if (range.smin < -kMaxStack || range.smax >= 0) return 0;
  const Place place{Region::stack, base, static_cast<int>(range.smin),
                    static_cast<int>(range.smax)};
  int end = place.offset;
  bool uninit = false;
  for (; end < 0; ++end) {
    const Slot* slot = find_slot(walk, place, end);
    const Byte byte = slot == nullptr ? Byte::uninit : slot->bytes[byte_in_slot(end)];
    if (byte == Byte::lost) break;
    if (slot != nullptr && (slot->is_pointer() || slot->is_special())) break;
    uninit = uninit || byte == Byte::uninit;
  }
  if (uninit) note_uninit(walk, place);
  int& depth = walk.found.stack_depth[frame_of(walk, place).subprog];
  depth = std::max(depth, -place.offset);
  return static_cast<uint32_t>(std::max(end - place.last, 0));
}

Checked<> read_stack_bytes(Walk& walk, unsigned n, const Place& place, int64_t size) {
  return check_readable_bytes(walk, place, place.offset, place.last + static_cast<int>(size), n);
}

void fill_stack_bytes(Walk& walk, const Place& place, int64_t size, bool exact) {
  exact = exact && place.last == place.offset;
  const int end = place.last + static_cast<int>(size);
  for (int off = place.offset; off < end;) {
    Slot& slot = stack_slot(walk, {place.region, place.base, off, off});
    const size_t first = byte_in_slot(off);
    const size_t bytes = std::min<size_t>(8 - first, static_cast<size_t>(end - off));
    end_special(walk, slot);
    forget_bytes(slot, first, bytes);
    for (size_t b = first; b < first + bytes; ++b)
      if (exact || slot.bytes[b] == Byte::zero) slot.bytes[b] = Byte::misc;
    off += static_cast<int>(bytes);
  }
}

}  // namespace uarena::jit::verifier
