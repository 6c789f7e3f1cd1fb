// What helpers give and take: elements of maps, which may not be there, records of a ring buffer,
// which must be given back, values with a lock.
#include <linux/bpf.h>

#include <algorithm>

#include "tests/fuzz/verifier/body.h"
#include "tests/fuzz/verifier/world.h"

namespace uarena::fuzz {

using namespace jit;

// R`r` points to a key on the stack.
bool Body::to_key(unsigned r, unsigned keys) {
  const int n = free_slot();
  if (n < 0) return false;
  const int key = slot_offset(n) + random_.one_of(0, 4);
  const int number = number_reg();
  if (pick(2) || number < 0 || keys < 3)
    put(kSt | kMem | kW, 10, 0, key, pick(keys));
  else
    put(kStx | kMem | kW, 10, static_cast<unsigned>(number), key, 0);
  slot(n) = Known::number();
  copy(r, 10);
  // Where it is not, a part of it lies behind the frame, if this is the frame's first slot.
  put(kAlu64 | kAdd, r, 0, 0, slip() ? -random_.one_of(1, 2, 3) : key);
  return true;
}

// R0 may be NULL: it, or a copy, is checked; the result is where the pointer is.
unsigned Body::not_null(const Known& known) {
  const unsigned other = pick(2) ? saved_reg() : 0;
  if (other != 0) put(kAlu64 | kMov | kX, other, 0, 0, 0);
  reg(other) = reg(0) = {};
  if (!slip()) {
    const unsigned checked = pick(2) ? other : 0;
    if (pick(2)) {
      out(kJmp | kJeq, checked, 0, 0);
    } else {
      const size_t in = jump(kJmp | kJne, checked, 0, 0);
      out(kJmp | kJa, 0, 0, 0);
      land(in);
    }
  }
  reg(other) = known;
  return other;
}

void Body::map_lookup() {
  if ((held_ & 0x3f) != 0) return plain();
  guarded([&] {
    const int map = random_.one_of(kArray, kArray, kHash, kHash, kLocked);
    if (!to_key(2, map == kLocked && pick(3) ? 2 : 6)) return;
    wide(1, kPseudoMapFd, map, 0);
    call(BPF_FUNC_map_lookup_elem);
    Known known = Known::pointer(What::value, kElementBytes);
    known.map = map;
    const unsigned value = not_null(known);
    const Hold hold(*this, {value});
    if (map == kLocked) return locked(value);
    touch(value);
    if (depth_ < kNested) items(pick(3));
  });
}

// Two pointers that may be NULL at the same time, and a check of one says nothing of the other.
void Body::two_lookups() {
  if ((held_ & 0x3f) != 0) return plain();
  guarded([&] {
    const unsigned first = saved_reg(), second = saved_reg({first});
    if (first < 6 || second < 6 || first == second) return;
    const Hold hold(*this, {first, second});
    Known known[2];
    for (const unsigned r : {first, second}) {
      const int map = random_.one_of(kArray, kHash);
      if (!to_key(2)) return;
      wide(1, kPseudoMapFd, map, 0);
      call(BPF_FUNC_map_lookup_elem);
      put(kAlu64 | kMov | kX, r, 0, 0, 0);
      reg(r) = reg(0) = {};
      Known& value = known[r == second];
      value = Known::pointer(What::value, kElementBytes);
      value.map = map;
    }
    const bool swap = pick(2);
    const unsigned a = swap ? second : first, b = swap ? first : second;
    const auto null = [&](unsigned r) {
      if (pick(3)) return out(kJmp | kJeq, r, 0, 0);
      const size_t in = jump(kJmp | kJne, r, 0, 0);  // not there: another one in its place
      to_value(r, kBss, 0);
      reg(r) = {};
      land(in);
    };
    null(a);
    reg(a) = known[a == second];
    reg(a).size = kElementBytes;
    touch(a);
    if (!slip()) null(b);
    reg(b) = known[b == second];
    touch(b);
  });
}

// Bytes [kLockBytes, kElementBytes) of the value, while its lock is held.
void Body::locked(unsigned value) {
  if (value < 6) {
    const unsigned to = saved_reg();
    if (to < 6) return;
    copy(to, value);
    value = to;
  }
  const Hold hold(*this, {value});
  unsigned released = value;
  const unsigned other = saved_reg({value});
  if (other >= 6 && pick(3) == 0 && to_key(2, 2)) {  // another element, whose lock is not taken
    wide(1, kPseudoMapFd, kLocked, 0);
    call(BPF_FUNC_map_lookup_elem);
    out(kJmp | kJeq, 0, 0, 0);
    put(kAlu64 | kMov | kX, other, 0, 0, 0);
    reg(other) = {};
    held_ |= 1u << other;
    if (slip()) released = other;
  }
  const bool holds = !slip();
  copy(1, value);
  if (holds) call(BPF_FUNC_spin_lock);
  ++sections_;
  guarded([&] {
    const unsigned inside = free_reg({value});
    copy(inside, value);
    put(kAlu64 | kAdd, inside, 0, 0, kLockBytes);
    const Hold both(*this, {inside});
    // As if the value began behind the lock.
    reg(inside).size = kElementBytes - kLockBytes;
    reg(value) = {};
    for (unsigned n = 1 + pick(3); n > 0; --n) pick(2) ? touch(inside) : transform_any();
  });
  --sections_;
  if (slip()) return;
  put(kAlu64 | kMov | kX, 1, released, 0, 0);
  call(BPF_FUNC_spin_unlock);
}

// Arithmetic and nothing else: under a lock there are no calls.
void Body::transform_any() {
  const int n = number_reg();
  if (n < 0 || (held_ >> n & 1) != 0) return;
  transform(static_cast<unsigned>(n));
}

void Body::map_change() {
  if ((held_ & 0x3f) != 0) return plain();
  const int map = random_.one_of(kArray, kHash, kHash, kLocked);
  if (!to_key(2)) return;
  if (pick(3) == 0) {
    wide(1, kPseudoMapFd, map, 0);
    return call(BPF_FUNC_map_delete_elem);
  }
  const Hold hold(*this, {2});
  if (pick(3) == 0)
    to_value(3, kBss, 8 * below(7));
  else
    to_stack(3, kElementBytes / 8);
  wide(1, kPseudoMapFd, map, 0);
  mov(4, random_.one_of(0, 0, 1, 2, 3));
  call(BPF_FUNC_map_update_elem);
}

void Body::record() {
  if ((held_ & 0x3f) != 0 || self_ == kEach) return plain();
  const int64_t size = random_.one_of(1, 4, 8, 12, 16, 24);
  wide(1, kPseudoMapFd, kRing, 0);
  mov(2, size);
  mov(3, 0);
  call(BPF_FUNC_ringbuf_reserve);
  ++sections_;
  guarded([&] {
    const unsigned value = not_null(Known::pointer(What::memory, size));
    const unsigned kept = value >= 6 ? value : saved_reg({value});
    copy(kept, value);
    const Hold hold(*this, {kept});
    guarded([&] {
      touch(kept);
      if (depth_ < kNested) items(pick(3));
    });
    if (slip()) return;
    copy(1, kept);
    put(kAlu64 | kMov | kX, 1, kept, 0, 0);
    mov(2, 0);
    call(pick(3) ? BPF_FUNC_ringbuf_submit : BPF_FUNC_ringbuf_discard);
    if (slip()) touch(kept);
    // The record is gone, and every pointer to it.
    for (unsigned r = 0; r < 10; ++r)
      if (reg(r).what == What::memory && reg(r).size == size) reg(r) = {};
    for (int n = 0; n < kSlots; ++n)
      if (slot(n).what == What::memory && slot(n).size == size) slot(n) = {};
  });
  --sections_;
}

}  // namespace uarena::fuzz
