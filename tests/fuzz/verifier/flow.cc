// Branches, loops and sections: each leaves one picture of what holds whichever way was gone.
#include <linux/bpf.h>

#include <algorithm>

#include "tests/fuzz/verifier/body.h"
#include "tests/fuzz/verifier/world.h"

namespace uarena::fuzz {

using namespace jit;

namespace {

constexpr size_t kMostInsns = 700;

}  // namespace

void Body::items(unsigned n) {
  ++depth_;
  while (n-- > 0) item();
  --depth_;
}

void Body::item() {
  if (out_.size() > kMostInsns) return plain();
  const bool deep = depth_ >= kMostDepth;
  switch (pick(36)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
      return deep ? plain() : indexed();
    case 5:
    case 6:
    case 7:
      return deep ? plain() : branch();
    case 8:
      return deep ? plain() : counted_loop();
    case 9:
      return deep ? plain() : shrinking_loop();
    case 10:
      return deep ? plain() : may_goto_loop();
    case 11:
      return deep ? plain() : iterator_loop();
    case 12:
    case 13:
      return deep ? plain() : spill_and_fill();
    case 14:
      return deep ? plain() : section();
    case 15:
    case 16:
      return arena_access();
    case 17:
    case 18:
      return ctx_access();
    case 19:
      return call_sub(kStatic);
    case 20:
      return call_sub(kGlobal);
    case 21:
      return call_loop();
    case 22:
    case 23:
      return map_lookup();
    case 24: {
      const unsigned r = saved_reg();
      if (memory(r)) touch(r);
      return;
    }
    case 25:
      return deep ? plain() : leave();
    case 26:
      return deep ? plain() : record();
    case 27:
      return pick(2) ? map_change() : two_lookups();
    case 28:
      return for_each();
    case 29:
    case 30:
    case 31:
      return deep ? plain() : packet();
    default:
      return plain();
  }
}

void Body::plain() {
  const unsigned r = free_reg();
  switch (pick(6)) {
    case 0:
      return number(r);
    case 1:
      return mov(r, constant());
    case 2:
      if (const int other = number_reg(); other >= 0) return copy(r, static_cast<unsigned>(other));
      return mov(r, constant());
    case 3:
      if (reg(r).is_number() && reg(r).bounded) return compute(r);
      [[fallthrough]];
    default:
      if (!reg(r).is_number()) return pick(3) ? mov(r, constant()) : number(r);
      return transform(r);
  }
}

// Code that may jump to its own end.
void Body::guarded(const Code& code) {
  guards_.emplace_back();
  ++depth_;
  code();
  --depth_;
  const Guard guard = std::move(guards_.back());
  guards_.pop_back();
  for (const size_t from : guard.jumps) land(from);
  for (const Picture& picture : guard.pictures) picture_ = merge(picture_, picture);
}

void Body::branch() {
  const size_t other = condition_jump();
  const Picture before = picture_;
  items(1 + pick(3));
  if (pick(2)) {
    land(other);
    picture_ = merge(picture_, before);
    return;
  }
  const size_t end = jump(kJmp | kJa, 0, 0, 0);
  const Picture first = picture_;
  picture_ = before;
  land(other);
  items(1 + pick(3));
  land(end);
  picture_ = merge(picture_, first);
}

// The function ends early on one way.
void Body::leave() {
  if (sections_ != 0) return plain();
  const size_t stay = condition_jump();
  const Picture before = picture_;
  const bool flag = self_ == kCallback || self_ == kEach;
  if ((held_ & 1) == 0) {
    mov(0, flag ? random_.one_of(0, 1) : constant());
    put(kJmp | kExit, 0, 0, 0, 0);
  }
  picture_ = before;
  land(stay);
}

// What a loop's body finds at each turn: numbers that it may change are any, and what else it may
// change is not used.
void Body::loop_body(size_t& head, const Code& before) {
  for (unsigned r = 0; r < 10; ++r)
    if ((held_ >> r & 1) == 0) {
      const bool keep = reg(r).is_address() && pick(2);
      if (keep) held_ |= 1u << r;
      if (!keep) reg(r) = reg(r).is_number() ? Known::number() : Known{};
    }
  while ((held_ & 0x3ff) == 0x3ff || __builtin_popcount(held_ & 0x3ff) > 6)
    held_ &= held_ - 1;  // some must be free
  unsigned held_slots = held_slots_;
  for (int n = 0; n < kSlots; ++n) {
    if (slot(n).is_address())
      held_slots |= 1u << n;
    else if ((held_slots >> n & 1) == 0)
      slot(n) = slot(n).is_number() ? Known::number() : Known{};
  }
  std::swap(held_slots, held_slots_);
  const Picture first = picture_;
  head = out_.size();
  before();
  items(1 + pick(4));
  for (unsigned r = 0; r < 10; ++r)
    if (first.regs[r].is_number() && !reg(r).is_number()) mov(r, constant());
  for (int n = 0; n < kSlots; ++n)
    if (first.slots[static_cast<size_t>(n)].is_number() && !slot(n).is_number())
      put(kSt | kMem | kDw, 10, 0, slot_offset(n), constant());
  held_slots_ = held_slots;
  picture_ = first;
}

void Body::counted_loop() {
  const unsigned counter = saved_reg();
  const int64_t from = random_.one_of(0, 0, 1, -4, 7);
  mov(counter, from);
  const Hold hold(*this, {counter});
  const int64_t limit = from + random_.one_of(1, 3, 4, 8, 8, 30, 64);
  const int64_t step = random_.one_of(1, 1, 1, 2, 3);
  const bool top = pick(2);  // where it is checked
  size_t head = 0;
  const auto cls = from < 0 ? kJmp : random_.one_of(kJmp, kJmp, kJmp32);
  size_t leave = 0;
  reg(counter) = Known::within(from, limit - (top ? 1 : 0));
  loop_body(head, [&] {
    if (top) leave = jump(cls | random_.one_of(kJsge, kJsge, kJsgt), counter, 0, limit);
  });
  put(kAlu64 | kAdd, counter, 0, 0, step);
  if (top) {
    back(kJmp | kJa, 0, 0, 0, head);
    land(leave);
  } else {
    const int op = from < 0 ? random_.one_of(kJslt, kJsle)
                            : random_.one_of(kJlt, kJslt, kJlt, kJle, step == 1 ? kJne : kJlt);
    back(cls | op, counter, 0, limit, head);
  }
  reg(counter) = pick(2) ? Known::number() : Known::within(from, limit + step);
}

// Goes on for as long as a number lasts.
void Body::shrinking_loop() {
  const unsigned n = saved_reg();
  number(n);
  const Hold hold(*this, {n});
  const bool bounded = pick(2);
  if (bounded) {
    put(kAlu64 | kAnd, n, 0, 0, 0x3f);
    reg(n) = Known::within(0, 0x3f);
  }
  size_t head = 0, leave = 0;
  loop_body(head, [&] {
    leave = jump((pick(3) ? kJmp : kJmp32) | random_.one_of(kJeq, kJsle), n, 0, 0);
  });
  reg(n) = Known::number();
  switch (pick(4)) {
    case 0:
      put(kAlu64 | kRsh, n, 0, 0, random_.one_of(1, 2, 4));
      break;
    case 1:
      put(kAlu64 | kDiv, n, 0, 0, random_.one_of(2, 3, 10));
      break;
    default:
      put((pick(4) ? kAlu64 : kAlu) | kSub, n, 0, 0, random_.one_of(1, 1, 2, 8));
  }
  back(kJmp | kJa, 0, 0, 0, head);
  land(leave);
}

void Body::may_goto_loop() {
  const Hold hold(*this, {});
  size_t head = 0, leave = 0;
  loop_body(head, [&] { leave = jump(kJmp | kJcond, 0, 0, 0); });
  if (pick(4) == 0)
    condition_jump(), out_.back().off = static_cast<int16_t>(head - out_.size());
  else
    back(kJmp | kJa, 0, 0, 0, head);
  land(leave);
}

void Body::iterator_loop() {
  const int n = free_slot();
  if (n < 0 || (held_ & 0x3f) != 0) return plain();
  const unsigned held = held_slots_;
  held_slots_ |= 1u << n;
  slot(n) = {};
  const auto point = [&] {
    copy(1, 10);
    put(kAlu64 | kAdd, 1, 0, 0, slot_offset(n));
    reg(1) = {};
  };
  const int from = number_reg();
  point();
  if (from > 1 && pick(3) == 0)
    copy(2, static_cast<unsigned>(from));
  else
    mov(2, random_.one_of(0, 0, -3, 5));
  mov(3, random_.one_of(1, 4, 10, 1000));
  kfunc(kIterNew);
  ++sections_;
  {
    const Hold hold(*this, {});
    size_t head = 0, leave = 0;
    loop_body(head, [&] {
      point();
      kfunc(kIterNext);
      leave = jump(kJmp | kJeq, 0, 0, 0);
      const unsigned to = saved_reg();
      put(kLdx | kMem | kW, to, 0, 0, 0);
      reg(to) = Known::within(0, 0xffffffff);
      if (pick(2)) reg(0) = Known::pointer(What::memory, 4), reg(0).read_only = true;
    });
    back(kJmp | kJa, 0, 0, 0, head);
    land(leave);
    picture_.call();
  }
  --sections_;
  point();
  if (!slip()) kfunc(kIterDestroy);
  held_slots_ = held;
  slot(n) = {};
  put(kSt | kMem | kDw, 10, 0, slot_offset(n), 0);
  slot(n) = Known::number();
}

void Body::section() {
  if ((held_ & 0x3f) != 0) return plain();
  const bool rcu = pick(2);
  kfunc(rcu ? kRcuLock : kPreemptDisable);
  ++sections_;
  guarded([&] { items(1 + pick(2)); });
  --sections_;
  if ((held_ & 0x3f) == 0 && !slip()) kfunc(rcu ? kRcuUnlock : kPreemptEnable);
}

}  // namespace uarena::fuzz
