// Comparison and widening of states.
#include "jit/verifier/state.h"

#include <algorithm>

namespace uarena::jit::verifier {
namespace {

constexpr unsigned kThresholdRounds = 8;

void forget_dead_in(Frame& frame, const Live& live) {
  for (unsigned r = 0; r < 10; ++r)
    if ((live.regs >> r & 1) == 0) frame.regs[r] = {};
  for (size_t n = 0; n < frame.stack.size(); ++n)
    if ((live.slots >> n & 1) == 0) frame.stack[n].set_all(Byte::uninit);
  while (!frame.stack.empty()) {
    const auto& bytes = frame.stack.back().bytes;
    if (std::any_of(bytes.begin(), bytes.end(), [](Byte b) { return b != Byte::uninit; })) break;
    frame.stack.pop_back();
  }
}

template <typename F>
void for_each_scalar(State& state, F&& f) {
  for (Frame& frame : state.frames) {
    for (Reg& reg : frame.regs)
      if (reg.kind == Kind::scalar) f(reg);
    for (Slot& slot : frame.stack)
      if (slot.is_spill() && slot.spilled.kind == Kind::scalar) f(slot.spilled);
  }
}

// An id that only one register has says nothing.
void forget_single_ids(State& state) {
  std::vector<uint32_t> ids;
  for_each_scalar(state, [&](Reg& reg) {
    if (reg.id != 0) ids.push_back(reg.id);
  });
  std::sort(ids.begin(), ids.end());
  for_each_scalar(state, [&](Reg& reg) {
    const auto [from, to] = std::equal_range(ids.begin(), ids.end(), reg.id);
    if (to - from < 2) reg.id = 0;
  });
}

// The equalities that `before` relied on must hold in `now`: each of its ids maps to one of now's.
class IdMap {
 public:
  bool match(uint32_t before, uint32_t now) {
    if (before == 0) return true;
    if (now == 0) return false;
    for (const auto& [b, n] : pairs_)
      if (b == before) return n == now;
    pairs_.emplace_back(before, now);
    return true;
  }

 private:
  std::vector<std::pair<uint32_t, uint32_t>> pairs_;
};

bool subsumes(const Reg& before, const Reg& now, IdMap& ids) {
  if (before.kind == Kind::uninit) return true;
  if (before.kind != now.kind) return false;
  switch (before.kind) {
    case Kind::scalar:
      return before.number.contains(now.number) && ids.match(before.id, now.id);
    case Kind::stack:
      return before.frame == now.frame && before.number.contains(now.number);
    case Kind::map_value:
      return before.map == now.map && before.number.contains(now.number);
    case Kind::map_ptr:
      return before.map == now.map;
    case Kind::ctx:
      return before.number.contains(now.number);
    default:
      return true;
  }
}

bool plain_number(const Slot& slot) {
  if (slot.is_spill()) return slot.spilled.kind == Kind::scalar;
  return std::all_of(slot.bytes.begin(), slot.bytes.end(),
                     [](Byte b) { return b == Byte::misc || b == Byte::zero; });
}

// What an 8-byte load would give; only for plain_number().
Reg as_scalar(const Slot& slot) {
  if (slot.is_spill()) return slot.spilled;
  const bool zero =
      std::all_of(slot.bytes.begin(), slot.bytes.end(), [](Byte b) { return b == Byte::zero; });
  return Reg::scalar(zero ? Scalar::constant(0) : Scalar::unknown());
}

bool subsumes(const Slot& before, const Slot& now, IdMap& ids) {
  if (before.is_spill()) {
    if (now.is_spill()) return subsumes(before.spilled, now.spilled, ids);
    return before.spilled.kind == Kind::scalar && plain_number(now) &&
           subsumes(before.spilled, as_scalar(now), ids);
  }
  for (size_t n = 0; n < 8; ++n) {
    const Byte b = before.bytes[n];
    if (b == Byte::uninit || b == now.bytes[n]) continue;
    const bool zero =
        now.bytes[n] == Byte::zero || (now.is_spill() && now.spilled.kind == Kind::scalar &&
                                       now.spilled.number.value() == uint64_t{0});
    const bool number =
        zero || now.bytes[n] == Byte::misc || (now.is_spill() && now.spilled.kind == Kind::scalar);
    if (b == Byte::zero ? !zero : !number) return false;
  }
  return true;
}

bool subsumes(const Frame& before, const Frame& now, IdMap& ids) {
  for (size_t r = 0; r < before.regs.size(); ++r)
    if (!subsumes(before.regs[r], now.regs[r], ids)) return false;
  const Slot empty;
  for (size_t n = 0; n < before.stack.size(); ++n)
    if (!subsumes(before.stack[n], n < now.stack.size() ? now.stack[n] : empty, ids)) return false;
  return true;
}

struct Widening {
  std::span<const int64_t> thresholds;
  bool keep_bounds;

  Scalar number(const Scalar& before, const Scalar& now) const {
    if (before.contains(now)) return before;
    return keep_bounds ? verifier::widen(before, now, thresholds) : Scalar::unknown();
  }

  bool reg(const Reg& before, Reg& now) const {
    if (before.kind == Kind::uninit || now.kind == Kind::uninit) {
      now = {};
      return true;
    }
    if (before.kind != now.kind) return false;
    if (before.frame != now.frame || before.map != now.map) return false;
    now.number = number(before.number, now.number);
    if (!keep_bounds || before.id == 0) now.id = 0;
    return true;
  }

  bool slot(const Slot& before, Slot& now) const {
    if (before.is_spill() && now.is_spill()) return reg(before.spilled, now.spilled);
    if (plain_number(before) && plain_number(now)) {
      Reg value = as_scalar(now);
      value.id = 0;
      if (!reg(as_scalar(before), value)) return false;
      now.set_spill(value);
      return true;
    }
    // Bytes that both have; a pointer against loose bytes has none in common.
    Slot common;
    for (size_t n = 0; n < 8; ++n) {
      const Byte b = before.bytes[n], c = now.bytes[n];
      const bool lost = b == Byte::uninit || c == Byte::uninit ||
                        (before.is_spill() && before.spilled.kind != Kind::scalar) ||
                        (now.is_spill() && now.spilled.kind != Kind::scalar);
      common.bytes[n] = lost ? Byte::uninit : b == c && b == Byte::zero ? Byte::zero : Byte::misc;
    }
    now = common;
    return true;
  }
};

}  // namespace

void forget_dead(State& state, size_t at, const std::vector<Live>& live) {
  for (size_t f = 0; f < state.frames.size(); ++f) {
    const bool running = f + 1 == state.frames.size();
    Live here = live[running ? at : state.frames[f + 1].call_site + 1];
    if (!running) here.regs &= static_cast<uint16_t>(~1u);  // R0 comes from the callee
    forget_dead_in(state.frames[f], here);
  }
  forget_single_ids(state);
}

bool same_calls(const State& a, const State& b) {
  if (a.frames.size() != b.frames.size()) return false;
  for (size_t f = 0; f < a.frames.size(); ++f)
    if (a.frames[f].subprog != b.frames[f].subprog ||
        a.frames[f].call_site != b.frames[f].call_site)
      return false;
  return true;
}

bool subsumes(const State& before, const State& now) {
  IdMap ids;
  for (size_t f = before.frames.size(); f-- > 0;)
    if (!subsumes(before.frames[f], now.frames[f], ids)) return false;
  return true;
}

bool widen(const State& before, State& now, std::span<const int64_t> thresholds, unsigned rounds) {
  const Widening w{thresholds, rounds < kThresholdRounds};
  State widened = now;
  for (size_t f = 0; f < now.frames.size(); ++f) {
    const Frame& old = before.frames[f];
    Frame& frame = widened.frames[f];
    for (size_t r = 0; r < frame.regs.size(); ++r)
      if (!w.reg(old.regs[r], frame.regs[r])) return false;
    if (frame.stack.size() > old.stack.size()) frame.stack.resize(old.stack.size());
    for (size_t n = 0; n < frame.stack.size(); ++n)
      if (!w.slot(old.stack[n], frame.stack[n])) return false;
  }
  forget_single_ids(widened);
  now = std::move(widened);
  return true;
}

}  // namespace uarena::jit::verifier
