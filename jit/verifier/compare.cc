// When is a path already walked? When a state that was remembered at this instruction (`before`)
// allowed all that the state at hand (`now`) allows. What is dead was forgotten in both, so every
// difference counts: there are no marks of what a later check relied on, all of it is compared.
//
// Numbers may be any subset. Beyond that `before` relied on equalities, and `now` must keep each:
// copies of a number (the same id, and the same distance from it) must be copies now, though more
// may be equal than before. For pointers an id says more than equality, since a check of one tells
// of all: that they are NULL, or how much of the packet is there. So their ids correspond one to
// one, as do references and the elements whose lock is held. The one exception is at null_id().
// What is held, the depth of sections and the frame of a pointer must be the same. Of a callback's
// turns `before` must have made no more: what it went on to do holds the rest of now's.
#include <algorithm>
#include <map>

#include "jit/verifier/state.h"

namespace uarena::jit::verifier {
namespace {

// The equalities that `before` relied on must hold in `now`: each of its ids is one of now's.
class IdMap {
 public:
  bool match(uint32_t before, uint32_t now) {
    if (before == 0) return true;
    if (now == 0) return false;
    return same(before, now);
  }
  // References are the same, or neither is one.
  bool match_ref(uint32_t before, uint32_t now) {
    if (before == 0 || now == 0) return before == now;
    return same(before, now);
  }

 private:
  bool same(uint32_t before, uint32_t now) {
    for (const auto& [b, n] : pairs_)
      if (b == before || n == now) return b == before && n == now;
    pairs_.emplace_back(before, now);
    return true;
  }
  std::vector<std::pair<uint32_t, uint32_t>> pairs_;
};

// Copies of scalars: several ids of `before` may have become one. Pointers and references: not.
class Comparison {
 public:
  bool refs(const State& before, const State& now) {
    if (before.rcu_locks != now.rcu_locks || before.preempt_locks != now.preempt_locks)
      return false;
    return std::ranges::equal(before.refs, now.refs, [&](const Ref& b, const Ref& n) {
      return b.kind == n.kind && b.map == n.map && b.offset == n.offset && b.frame == n.frame &&
             pointers_.match_ref(b.id, n.id) && pointers_.match_ref(b.value, n.value);
    });
  }

  bool reg(const Reg& before, const Reg& now) {
    if (before.kind == Kind::uninit) return true;
    if (before.kind != now.kind) return false;
    if (before.kind == Kind::scalar)
      return before.number.contains(now.number) && scalar_id(before.id, now.id) &&
             (before.id == 0 || before.delta == now.delta);
    if (before.kind == Kind::arena) return true;
    if (now.or_null && !before.or_null) return false;
    if (now.read_only != before.read_only) return false;
    return before.frame == now.frame && before.map == now.map && before.size <= now.size &&
           (before.is_packet() || before.size == now.size) && before.fixed == now.fixed &&
           before.number.contains(now.number) && pointers_.match_ref(before.ref, now.ref) &&
           pointer_id(before, now);
  }

  bool slot(const Slot& before, const Slot& now) {
    if (before.is_special() || now.is_special())
      return before.bytes == now.bytes && before.drained == now.drained &&
             pointers_.match_ref(before.spilled.ref, now.spilled.ref);
    if (before.is_spill()) {
      if (now.is_spill()) return reg(before.spilled, now.spilled);
      return before.spilled.kind == Kind::scalar && before.spilled.number == Scalar::unknown() &&
             before.spilled.id == 0 && plain_number(now);
    }
    // Bytes that may be read as numbers must not be an address now.
    for (size_t n = 0; n < 8; ++n)
      if (before.bytes[n] != Byte::lost && (now.is_pointer() || now.bytes[n] == Byte::lost))
        return false;
    for (const size_t half : {0, 4})
      if (!half_of(before, now, half)) return false;
    return true;
  }

 private:
  bool scalar_id(uint32_t before, uint32_t now) {
    if (before == 0) return true;
    if (now == 0) return false;
    for (const auto& [b, n] : scalars_)
      if (b == before) return n == now;
    scalars_.emplace_back(before, now);
    return true;
  }

  bool pointer_id(const Reg& before, const Reg& now) {
    if (before.or_null) return null_id(before, now);
    if (before.is_packet() || before.kind == Kind::map_value)
      return pointers_.match_ref(before.id, now.id);
    return true;
  }

  // One that is never NULL is fine where one that may be was, if this goes for all its copies: on
  // the way where a copy is NULL, `before` took them all for the number 0.
  bool null_id(const Reg& before, const Reg& now) {
    const auto [known, added] = never_null_.try_emplace(before.id, !now.or_null);
    if (known->second == now.or_null) return false;
    return !now.or_null || pointers_.match_ref(before.id, now.id);
  }

  static bool plain_number(const Slot& slot) {
    if (slot.is_spill()) return slot.spilled.kind == Kind::scalar;
    return !slot.is_special() && std::ranges::find(slot.bytes, Byte::lost) == slot.bytes.end();
  }

  bool half_of(const Slot& before, const Slot& now, size_t half) {
    if (before.bytes[half] == Byte::spill) {
      const bool alike = now.bytes[half] == Byte::spill && !now.is_spill();
      return alike && reg(before.spilled, now.spilled);
    }
    const auto value = now.bytes[half] == Byte::spill && now.spilled.kind == Kind::scalar
                           ? now.spilled.number.value()
                           : std::nullopt;
    for (size_t n = half; n < half + 4; ++n)
      if (before.bytes[n] == Byte::zero && now.bytes[n] != Byte::zero && value != uint64_t{0})
        return false;
    return true;
  }

  IdMap pointers_;
  std::vector<std::pair<uint32_t, uint32_t>> scalars_;
  std::map<uint32_t, bool> never_null_;  // by ids of `before`: what its copies are now
};

}  // namespace

bool subsumes(const State& before, const State& now) {
  Comparison same;
  if (!same.refs(before, now)) return false;
  const Slot empty;
  for (size_t f = before.frames.size(); f-- > 0;) {
    const Frame& b = before.frames[f];
    const Frame& n = now.frames[f];
    if (b.turns > n.turns) return false;  // fewer turns were left
    for (size_t r = 0; r < b.regs.size(); ++r)
      if (!same.reg(b.regs[r], n.regs[r])) return false;
    // A slot that only `now` has was never written before, and read as a number if at all.
    for (size_t s = 0; s < std::max(b.stack.size(), n.stack.size()); ++s)
      if (!same.slot(s < b.stack.size() ? b.stack[s] : empty,
                     s < n.stack.size() ? n.stack[s] : empty))
        return false;
  }
  return true;
}

}  // namespace uarena::jit::verifier
