// Loads and stores: at the very edge of what a pointer may reach more often than anywhere else.
#include <linux/bpf.h>

#include <algorithm>

#include "tests/fuzz/verifier/body.h"
#include "tests/fuzz/verifier/world.h"

namespace uarena::fuzz {

using namespace jit;

namespace {

int size_code(unsigned bytes) { return bytes == 1 ? kB : bytes == 2 ? kH : bytes == 4 ? kW : kDw; }

}  // namespace

void Body::to_value(unsigned r, int map, int64_t offset) {
  wide(r, kPseudoMapValue, map, static_cast<uint64_t>(offset));
  reg(r) = Known::pointer(What::value, map == kBss ? kBssBytes : kRodataBytes);
  reg(r).map = map;
  reg(r).read_only = map == kRodata;
  reg(r).min = reg(r).max = offset;
}

// A pointer to some slots in a row that hold numbers.
void Body::to_stack(unsigned r, int slots) {
  const int n = free_slot(slots);
  copy(r, 10);
  if (n < 0) return;
  for (int at = n; at > n - slots; --at)
    if (!slot(at).is_number()) {
      put(kSt | kMem | kDw, 10, 0, slot_offset(at), constant());
      slot(at) = Known::number();
    }
  put(kAlu64 | kAdd, r, 0, 0, slot_offset(n));
  reg(r).min = reg(r).max = slot_offset(n);
}

// A pointer to something of some size, at its start; a stack pointer has 32 bytes.
bool Body::memory(unsigned r) {
  if (pick(3) == 0) {
    for (const What what : {What::packet, What::memory, What::value}) {
      const int known = any_reg(what);
      if (known < 0 || pick(2)) continue;
      copy(r, static_cast<unsigned>(known));
      return true;
    }
  }
  switch (pick(5)) {
    case 0:
    case 1:
      to_stack(r, 4);
      return reg(r).min != 0;
    case 2:
      to_value(r, kRodata, 0);
      return true;
    default:
      to_value(r, kBss, pick(3) ? 0 : 8 * below(8));
      return true;
  }
}

// What a store through a pointer leaves in the slots of this function.
void Body::written(const Known& base, int off, unsigned bytes, const Known& value) {
  if (base.what != What::stack) return;
  const int64_t first = base.min + off, last = base.max + off + bytes - 1;
  for (int n = 0; n < kSlots; ++n) {
    const int64_t low = slot_offset(n), high = low + 7;
    if (last < low || first > high) continue;
    const bool whole = base.min == base.max && bytes == 8;
    if (whole)
      slot(n) = value;
    else
      slot(n) = slot(n).is_number() ? Known::number() : Known{};
  }
}

void Body::touch_at(unsigned pointer, int off, unsigned bytes) {
  const Known base = reg(pointer);
  const int size = size_code(bytes);
  const bool writable =
      !base.read_only && !(base.what == What::packet && plan_.type == ProgramType::socket_filter);
  const int value = number_reg();
  const int64_t at = base.min + off;
  const bool aligned = at % bytes == 0 && (base.min == base.max || base.step % bytes == 0);
  const unsigned kind = writable ? pick(6) : 0;
  if (kind == 3 && value >= 0 && bytes >= 4 && aligned && base.what != What::packet) {
    int operation = random_.one_of(kAdd, kAnd, kOr, kXor, kAdd | kFetch, kXchg, kCmpxchg,
                                   kAnd | kFetch, kOr | kFetch, kXor | kFetch);
    // Those three are loops of instructions, which the arena's exceptions can't restart.
    const bool loops =
        (operation & kFetch) != 0 && operation < kXchg && operation != (kAdd | kFetch);
    if (loops && base.what == What::arena) operation = kAdd | kFetch;
    if (operation == kCmpxchg && !reg(0).is_number()) {
      if (held_ & 1) return;
      mov(0, constant());
    }
    if (pointer == 0 && operation == kCmpxchg) return;
    const auto src = static_cast<unsigned>(value);
    const unsigned result = operation == kCmpxchg ? 0 : src;
    if ((operation & kFetch) != 0 && (held_ >> result & 1) != 0) return;
    put(kStx | kAtomic | size, pointer, src, off, operation);
    if ((operation & kFetch) != 0) reg(result) = Known::number();
    return written(base, off, bytes, Known::number());
  }
  if (kind == 5 && pick(2) && value >= 0 && aligned && base.what != What::packet) {
    if (pick(2)) {
      put(kStx | kAtomic | size, pointer, static_cast<unsigned>(value), off, kStoreRel);
      return written(base, off, bytes, Known::number());
    }
    const unsigned to = free_reg({pointer});
    put(kStx | kAtomic | size, to, pointer, off, kLoadAcq);
    reg(to) = Known::number();
    return;
  }
  if (kind == 4 || (kind == 3 && value < 0)) {
    const int imm = constant();
    put(kSt | kMem | size, pointer, 0, off, imm);
    return written(base, off, bytes, Known::within(imm, imm));
  }
  if (kind >= 3 && value >= 0) {
    put(kStx | kMem | size, pointer, static_cast<unsigned>(value), off, 0);
    return written(base, off, bytes, reg(static_cast<unsigned>(value)));
  }
  const unsigned to = free_reg({pointer});
  const bool is_signed = bytes != 8 && pick(4) == 0;
  put(kLdx | (is_signed ? kMemsx : kMem) | size, to, pointer, off, 0);
  const int64_t high = (int64_t{1} << (bytes == 8 ? 0 : 8 * bytes)) - 1;
  reg(to) = bytes == 8  ? Known::number()
            : is_signed ? Known::within(-(high + 1) / 2, high / 2)
                        : Known::within(0, high);
}

// An access through the pointer that is right, but near the end of being so.
void Body::touch(unsigned pointer) {
  const Known base = reg(pointer);
  const bool stack = base.what == What::stack;
  const int64_t start = stack ? slot_offset(kSlots - 1) : 0;
  const int64_t end = stack ? 0 : base.size;
  for (unsigned tries = 0; tries < 6; ++tries) {
    const auto bytes = 1u << pick(4);
    const int64_t lowest = start - base.min;
    const int64_t highest = end - static_cast<int64_t>(bytes) - base.max;
    if (highest < lowest) continue;
    int64_t off = pick(3) == 0   ? highest
                  : pick(3) == 0 ? lowest
                                 : lowest + below(highest - lowest + 1);
    const bool must_align = base.strict || stack;
    if (must_align && base.min != base.max && base.step % bytes != 0) continue;
    if (must_align) off -= (((base.min + off) % bytes) + bytes) % bytes;
    if (off < lowest || off > highest) continue;
    bool fits = true;
    for (int n = 0; stack && n < kSlots; ++n) {
      const bool hit = base.min + off <= slot_offset(n) + 7 &&
                       base.max + off + static_cast<int64_t>(bytes) > slot_offset(n);
      if (hit && (!slot(n).is_number() || (held_slots_ >> n & 1) != 0)) fits = false;
    }
    if (!fits) continue;
    if (slip()) off += random_.one_of(1, -1, static_cast<int>(bytes), -static_cast<int>(bytes));
    return touch_at(pointer, static_cast<int>(off), bytes);
  }
}

// A number in bounds is added to a pointer.
void Body::indexed() {
  guarded([&] {
    const unsigned base = saved_reg(), index = free_reg({base});
    if (!memory(base)) return;
    const Hold hold(*this, {base, index});
    const Known target = reg(base);
    const int64_t room = target.what == What::stack ? 32 : target.size - target.min;
    const unsigned bytes = 1u << pick(4);
    if (room < static_cast<int64_t>(bytes)) return;
    if (pick(3) == 0 && reg(index).bounded && reg(index).is_number()) {
      compute(index);
    } else {
      number(index);
      if (pick(3) == 0) transform(index);
      const int64_t scale = pick(2) ? bytes : 1;
      bound(index, (room - bytes) / scale);
      if (scale == 1) {
        for (unsigned n = pick(3); n > 0; --n) compute(index);
      } else {
        const int shift = scale == 2 ? 1 : scale == 4 ? 2 : 3;
        const int cls = pick(2) ? kAlu64 : kAlu;
        if (pick(2))
          put(cls | kMul, index, 0, 0, scale);
        else
          put(cls | kLsh, index, 0, 0, shift);
        reg(index) = Known::within(0, reg(index).max * scale, scale);
      }
    }
    const Known known = reg(index);
    if (!known.bounded || known.max - known.min + 1 > room) return;
    const unsigned pointer = pick(2) ? base : free_reg({index});
    if (pick(4) == 0 && target.what != What::packet) {  // number += pointer
      put(kAlu64 | kAdd | kX, index, base, 0, 0);
      reg(index) = target;
      reg(index).min += known.min;
      reg(index).max += known.max;
      reg(index).step = known.step;
      return touch(index);
    }
    const bool sub = pick(6) == 0 && known.max <= target.min;
    copy(pointer, base);
    put(kAlu64 | (sub ? kSub : kAdd) | kX, pointer, index, 0, 0);
    reg(pointer).min += sub ? -known.max : known.min;
    reg(pointer).max += sub ? -known.min : known.max;
    reg(pointer).step = known.step;
    const Hold both(*this, {base, index, pointer});
    for (unsigned n = 1 + pick(3); n > 0; --n) {
      touch(pointer);
      if (depth_ < kNested && pick(4) == 0) item();
    }
  });
}

// A register goes to the stack; something happens; it comes back.
void Body::spill_and_fill() {
  const int n = free_slot();
  const unsigned from = pick(8) ? pick(10) : 10;
  if (n < 0) return;
  const Known value =
      from == 10 ? Known{.what = What::stack, .bounded = true, .strict = true} : reg(from);
  if (value.what == What::nothing || value.what == What::arena) return;
  const bool whole = !value.is_number() || pick(2);
  const unsigned bytes = whole ? 8 : 1u << pick(3);
  const int at = slot_offset(n) + (bytes < 8 && pick(2) ? 8 - static_cast<int>(bytes) : 0);
  put(kStx | kMem | size_code(bytes), 10, from, at, 0);
  slot(n) = whole ? value : Known::number();
  const unsigned held = held_slots_;
  if (value.is_address()) held_slots_ |= 1u << n;
  items(pick(3));
  held_slots_ = held;
  const unsigned to = free_reg();
  if (slot(n).is_address()) {
    put(kLdx | kMem | kDw, to, 10, slot_offset(n), 0);
    reg(to) = slot(n);
    slot(n) = Known::number();  // may be overwritten
    return put(kSt | kMem | kDw, 10, 0, slot_offset(n), 0);
  }
  if (!slot(n).is_number()) return;
  const unsigned read = pick(2) ? bytes : 1u << pick(4);
  const int from_at =
      slot_offset(n) + (8 - static_cast<int>(read) > 0 && pick(3) == 0 ? 8 - static_cast<int>(read)
                        : at - slot_offset(n) + static_cast<int>(read) <= 8 ? at - slot_offset(n)
                                                                            : 0);
  if (from_at % static_cast<int>(read) != 0) return;
  put(kLdx | (read < 8 && pick(5) == 0 ? kMemsx : kMem) | size_code(read), to, 10, from_at, 0);
  reg(to) = Known::number();
  if (whole && read == 8) reg(to) = slot(n);
}

void Body::ctx_access() {
  const int ctx = any_reg(What::ctx);
  if (ctx < 0) return plain();
  const auto base = static_cast<unsigned>(ctx);
  if (takes_packets(plan_.type)) return packet_ctx(base);
  if (plan_.type != ProgramType::syscall) return plain();
  const unsigned bytes = 1u << pick(4);
  const int off = static_cast<int>(bytes * pick(128 / bytes)) + (pick(4) == 0 && slip() ? 1 : 0);
  const int value = number_reg();
  if (pick(2) && value >= 0)
    return put(kStx | kMem | size_code(bytes), base, static_cast<unsigned>(value), off, 0);
  const unsigned to = free_reg();
  put(kLdx | (bytes < 8 && pick(4) == 0 ? kMemsx : kMem) | size_code(bytes), to, base, off, 0);
  reg(to) = Known::number();
}

void Body::arena_pointer(unsigned r) {
  // A program has to name its arena before it may cast anything.
  if (const int n = number_reg(); n >= 0 && plan_.names_arena && pick(3) == 0) {
    put(kAlu64 | kMov | kX, r, static_cast<unsigned>(n), kAddrSpaceCastOff, kCastKern);
  } else {
    wide(r, kPseudoMapValue, kArena, 8 * pick(1024));
    plan_.names_arena = true;
    put(kAlu64 | kMov | kX, r, r, kAddrSpaceCastOff, kCastKern);
  }
  reg(r) = Known{.what = What::arena};
}

void Body::arena_access() {
  const int known = any_reg(What::arena);
  const unsigned r = known >= 0 && pick(2) && (held_ >> known & 1) == 0
                         ? static_cast<unsigned>(known)
                         : saved_reg();
  if (reg(r).what != What::arena) arena_pointer(r);
  const int other = number_reg();
  if (pick(3) == 0) {
    const int op = random_.one_of(kAdd, kAdd, kSub, kMul, kOr, kXor, kAnd);
    if (other >= 0 && pick(2))
      put(kAlu64 | op | kX, r, static_cast<unsigned>(other), 0, 0);
    else
      put(kAlu64 | op, r, 0, 0, 8 * below(8));
  }
  const Hold hold(*this, {r});
  const unsigned bytes = 1u << pick(4);
  const int off = random_.one_of(0, 8, -8, 4096, 32767 & ~7, -32768);
  reg(r).min = reg(r).max = off;  // what touch_at asks of the alignment
  if (bytes >= 4 || pick(4)) touch_at(r, off, bytes);
  reg(r) = Known{.what = What::arena};
  if (pick(3) != 0) return;
  const unsigned to = free_reg({r});
  put(kAlu64 | kMov | kX, to, r, kAddrSpaceCastOff, kCastUser);
  reg(to) = Known::number();
}

}  // namespace uarena::fuzz
