// Joins a state with an earlier one of the same place and gives up what changes between them.
// Bounds move to the next constant that the program compares with, later to the ends of the type,
// so a loop settles after a few rounds.
#include <algorithm>

#include "jit/verifier/state.h"

namespace uarena::jit::verifier {
namespace {

constexpr unsigned kThresholdRounds = 8;

// What an 8-byte load of bytes that hold no pointer gives.
Reg as_scalar(const Slot& slot) {
  if (slot.is_spill()) return slot.spilled;
  const bool zero =
      std::all_of(slot.bytes.begin(), slot.bytes.end(), [](Byte b) { return b == Byte::zero; });
  return Reg::scalar(zero ? Scalar::constant(0) : Scalar::unknown());
}

class Widening {
 public:
  Widening(std::span<const int64_t> thresholds, bool keep_bounds)
      : thresholds_(thresholds), keep_bounds_(keep_bounds) {}

  // Both hold the same, in the same order; ids of one stand for those of the other.
  bool refs(const State& before, const State& now) {
    if (before.rcu_locks != now.rcu_locks || before.preempt_locks != now.preempt_locks ||
        before.refs.size() != now.refs.size())
      return false;
    for (size_t n = 0; n < now.refs.size(); ++n) {
      const Ref &b = before.refs[n], &r = now.refs[n];
      if (b.kind != r.kind || b.map != r.map || b.offset != r.offset || b.frame != r.frame)
        return false;
      pairs_.emplace_back(b.id, r.id);
      pairs_.emplace_back(b.value, r.value);
    }
    return true;
  }

  // False: nothing that the program could use is common to both.
  bool reg(const Reg& before, Reg& now) const {
    if (before.kind != now.kind) return false;
    if (now.kind == Kind::arena || now.kind == Kind::uninit) return true;
    if (now.kind != Kind::scalar) return pointer(before, now);
    now.number = number(before.number, now.number);
    if (!keep_bounds_ || before.id == 0 || before.delta != now.delta) now.id = 0;
    return true;
  }

  // False: an iterator or the like, which must stay what it is.
  bool slot(const Slot& before, Slot& now) const {
    if (before.is_special() || now.is_special())
      return before.bytes == now.bytes && before.drained == now.drained &&
             same(before.spilled.ref, now.spilled.ref);
    if (before.is_pointer() || now.is_pointer()) {
      if (!before.is_spill() || !now.is_spill() || !reg(before.spilled, now.spilled))
        now.set_all(Byte::lost);
      return true;
    }
    if (before.is_spill() && now.is_spill()) {
      if (!reg(before.spilled, now.spilled)) now.set_all(Byte::misc);
      return true;
    }
    const auto whole = [](const Slot& s) {
      return s.is_spill() || std::ranges::none_of(s.bytes, [](Byte b) {
               return b == Byte::uninit || b == Byte::spill || b == Byte::lost;
             });
    };
    if (whole(before) && whole(now)) {
      Reg value = as_scalar(now);
      value.id = 0;
      const Reg old = as_scalar(before);
      if (old.kind == Kind::scalar && value.kind == Kind::scalar) {
        value.number = number(old.number, value.number);
        now.set_spill(value);
        return true;
      }
    }
    Slot common;
    for (size_t n = 0; n < 8; ++n) common.bytes[n] = byte(before.bytes[n], now.bytes[n]);
    now = common;
    return true;
  }

 private:
  Scalar number(const Scalar& before, const Scalar& now) const {
    if (before.contains(now)) return before;
    return keep_bounds_ ? verifier::widen(before, now, thresholds_) : Scalar::unknown();
  }

  // Of bytes that hold no whole pointer.
  static Byte byte(Byte before, Byte now) {
    if (before == Byte::lost || now == Byte::lost) return Byte::lost;
    if (before == Byte::uninit || now == Byte::uninit) return Byte::uninit;
    return before == now && now == Byte::zero ? Byte::zero : Byte::misc;
  }

  bool pointer(const Reg& before, Reg& now) const {
    if (before.frame != now.frame || before.map != now.map || before.fixed != now.fixed ||
        before.read_only != now.read_only || !same(before.ref, now.ref))
      return false;
    if (before.size != now.size && !now.is_packet()) return false;
    if (before.id != now.id && (now.is_packet() || now.kind == Kind::map_value)) return false;
    if ((before.or_null || now.or_null) && before.id != now.id) return false;
    now.or_null |= before.or_null;
    now.size = std::min(before.size, now.size);
    now.number = number(before.number, now.number);
    return true;
  }

  bool same(uint32_t before, uint32_t now) const {
    if (before == 0 || now == 0) return before == now;
    return std::ranges::any_of(pairs_,
                               [&](const auto& p) { return p.first == before && p.second == now; });
  }

  std::span<const int64_t> thresholds_;
  bool keep_bounds_;
  std::vector<std::pair<uint32_t, uint32_t>> pairs_;
};

}  // namespace

bool widen(const State& before, State& now, std::span<const int64_t> thresholds, unsigned rounds) {
  Widening w(thresholds, rounds < kThresholdRounds);
  if (!w.refs(before, now)) return false;
  State widened = now;
  const Slot empty;
  for (size_t f = 0; f < now.frames.size(); ++f) {
    const Frame& old = before.frames[f];
    Frame& frame = widened.frames[f];
    frame.turns = std::min(frame.turns, old.turns);
    for (size_t r = 0; r < frame.regs.size(); ++r)
      if (!w.reg(old.regs[r], frame.regs[r])) frame.regs[r] = {};
    frame.stack.resize(std::max(frame.stack.size(), old.stack.size()));
    for (size_t n = 0; n < frame.stack.size(); ++n)
      if (!w.slot(n < old.stack.size() ? old.stack[n] : empty, frame.stack[n])) return false;
  }
  forget_single_ids(widened);
  now = std::move(widened);
  return true;
}

}  // namespace uarena::jit::verifier
