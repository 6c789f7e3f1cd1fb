// One Match per comparison of a state with the frames of the run; the first thing that does not fit
// is kept as text.
#include "tests/fuzz/verifier/oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "jit/verifier/analysis.h"
#include "jit/verifier/print.h"

namespace uarena::fuzz {
namespace {

using jit::verifier::Byte;
using jit::verifier::Entered;
using jit::verifier::is_global;
using jit::verifier::Kind;
using jit::verifier::Reg;
using jit::verifier::Slot;
using jit::verifier::State;

// A run that takes longer is cut off; what was seen of it counts.
constexpr uint64_t kMostInsns = 200'000;

Calls calls_of(const State& state) {
  Calls calls;
  for (const auto& frame : state.frames)
    calls.emplace_back(frame.subprog, frame.call_site, frame.entered);
  return calls;
}

uint32_t subprog_at(const jit::ProgramDef& def, size_t insn) {
  const auto found = std::ranges::find(def.subprogs, insn, &jit::Subprog::start);
  return static_cast<uint32_t>(found - def.subprogs.begin());
}

}  // namespace

void StateRecord::restart() {
  states_.clear();
  count_ = 0;
}

void StateRecord::walk(size_t insn, const State& state) {
  if (++count_ > kMost) return;
  states_[calls_of(state)][insn].push_back(state);
}

const StateRecord::PerInsn* StateRecord::find(const Calls& calls) const {
  const auto found = states_.find(calls);
  return found == states_.end() ? nullptr : &found->second;
}

// Does a state hold the run's frames from `root` on?
class Oracle::Match {
 public:
  // `explains`: keeps what does not fit, which takes its time.
  Match(const Oracle& oracle, size_t root, bool explains)
      : oracle_(oracle), root_(root), explains_(explains) {}

  bool holds(const State& state) {
    for (size_t f = 0; f < state.frames.size(); ++f) {
      const auto& abstract = state.frames[f];
      const Frame& frame = oracle_.frames_[root_ + f];
      for (unsigned r = 0; r < 10; ++r)
        if (!holds(abstract.regs[r], frame.regs[r]))
          return differs([&] { return fmt::format("frame {} R{}", f, r); }, abstract.regs[r],
                         frame.regs[r]);
      for (size_t n = 0; n < abstract.stack.size(); ++n)
        if (!holds(abstract.stack[n], word(frame, n), f, n)) return false;
    }
    return true;
  }

  const std::string& difference() const { return difference_; }

 private:
  static uint64_t word(const Frame& frame, size_t slot) {
    uint64_t value = 0;
    std::memcpy(&value, frame.stack.data() + frame.stack.size() - 8 * (slot + 1), sizeof value);
    return value;
  }

  template <typename Place>
  bool differs(const Place& place, const Reg& reg, uint64_t value) {
    if (!explains_) return false;
    difference_ = fmt::format("{} = {:#x} ({}) is not in {}", place(), value,
                              static_cast<int64_t>(value), to_string(reg, oracle_.object_, 0));
    return false;
  }

  bool holds(const Slot& slot, uint64_t value, size_t frame, size_t n) {
    const auto place = [&] { return fmt::format("frame {} fp-{}", frame, 8 * (n + 1)); };
    if (slot.is_spill()) return holds(slot.spilled, value) || differs(place, slot.spilled, value);
    for (const unsigned half : {0u, 4u}) {
      if (slot.bytes[half] != Byte::spill) continue;
      if (!slot.spilled.number.low.contains(static_cast<uint32_t>(value >> (8 * half))))
        return differs([&] { return place() + " (half)"; }, slot.spilled, value);
    }
    for (unsigned b = 0; b < 8; ++b)
      if (slot.bytes[b] == Byte::zero && (value >> (8 * b) & 0xff) != 0)
        return differs([&] { return place() + " (zero)"; }, slot.spilled, value);
    return true;
  }

  bool holds(const Reg& reg, uint64_t value) {
    if (reg.kind == Kind::uninit) return true;
    if (reg.id != 0 && !shares_fate(reg, value)) return false;
    if (reg.or_null && value == 0) return true;
    return points(reg, value);
  }

  // What has one id: the same number, NULL or not, the same variable part of an offset.
  bool shares_fate(const Reg& reg, uint64_t value) {
    uint64_t fate = 0;
    if (reg.kind == Kind::scalar)
      fate = value - static_cast<uint64_t>(reg.delta);
    else if (reg.or_null)
      fate = value == 0;
    else if (reg.is_packet())
      fate = value - static_cast<uint64_t>(int64_t{reg.fixed});
    else
      return true;
    const int kind = reg.or_null ? -1 : static_cast<int>(reg.kind);
    const auto [same, added] = fates_.emplace(std::pair(kind, reg.id), fate);
    return added || same->second == fate;
  }

  bool at(const Reg& reg, uint64_t value, uint64_t base) const {
    return reg.number.contains(value - base);
  }

  bool points(const Reg& reg, uint64_t value) const {
    switch (reg.kind) {
      case Kind::scalar:
        return reg.number.contains(value);
      case Kind::arena:
        return value >> 32 == 0;
      case Kind::ctx:
        return at(reg, value, reinterpret_cast<uint64_t>(oracle_.memory_.ctx().data()));
      case Kind::stack:
        return root_ + reg.frame < oracle_.frames_.size() &&
               at(reg, value, oracle_.frames_[root_ + reg.frame].top());
      case Kind::map_ptr:
        return value == reinterpret_cast<uint64_t>(&oracle_.memory_.map(reg.map));
      case Kind::map_value:
        return in_map(reg, value);
      case Kind::memory:
        return in_memory(reg, value, oracle_.run_.given) || in_memory(reg, value, oracle_.lent_);
      case Kind::callback:
        return value == reg.map;
      case Kind::map_key:
        return in_key(reg, value);
      case Kind::packet:
      case Kind::packet_meta:
        return in_packet(reg, value);
      case Kind::packet_end:
        return value == reinterpret_cast<uint64_t>(packet().data() + packet().size());
      case Kind::gone:
        return true;
      default:
        return false;  // no such pointers in this world
    }
  }

  std::span<const std::byte> packet() const { return oracle_.memory_.packet(); }

  // Where it points, and that the bytes behind its variable part that are said to be there are.
  bool in_packet(const Reg& reg, uint64_t value) const {
    const auto start = reinterpret_cast<uint64_t>(packet().data());
    const uint64_t moved = value - start - static_cast<uint64_t>(int64_t{reg.fixed});
    if (!reg.number.contains(moved)) return false;
    if (reg.size == 0) return true;
    const uint64_t end = reg.kind == Kind::packet ? packet().size() : 0;  // no metadata
    return moved <= end && reg.size <= end - moved;
  }

  std::vector<jit::Map::Element> elements(const Reg& reg) const {
    std::vector<jit::Map::Element> all;
    jit::Map& map = *oracle_.memory_.map(reg.map).map;
    for (uint32_t n = 0; n < map.places(); ++n)
      if (const auto element = map.at(n, 0); element.key != nullptr) all.push_back(element);
    return all;
  }

  bool in_key(const Reg& reg, uint64_t value) const {
    if (oracle_.memory_.map(reg.map).kind == jit::MapKind::array)
      return at(reg, value, reinterpret_cast<uint64_t>(oracle_.memory_.array_key()));
    return std::ranges::any_of(elements(reg),
                               [&](const jit::Map::Element& element) {
                                 return at(reg, value, reinterpret_cast<uint64_t>(element.key));
                               }) ||
           std::ranges::any_of(oracle_.run_.keys,
                               [&](uint64_t known) { return at(reg, value, known); });
  }

  bool in_map(const Reg& reg, uint64_t value) const {
    const jit::BoundMap& map = oracle_.memory_.map(reg.map);
    if (map.kind == jit::MapKind::hash)
      return std::ranges::any_of(elements(reg),
                                 [&](const jit::Map::Element& element) {
                                   return at(reg, value, reinterpret_cast<uint64_t>(element.value));
                                 }) ||
             std::ranges::any_of(oracle_.run_.values,
                                 [&](uint64_t known) { return at(reg, value, known); });
    const auto base = reinterpret_cast<uint64_t>(map.value);
    for (uint64_t n = 0; n < map.max_entries; ++n)
      if (at(reg, value, base + n * map.value_size)) return true;
    return false;
  }

  template <typename Known>
  bool in_memory(const Reg& reg, uint64_t value, const Known& known) const {
    return std::ranges::any_of(known, [&](const auto& memory) {
      return reg.size <= memory.second && at(reg, value, memory.first);
    });
  }

  const Oracle& oracle_;
  const size_t root_;
  const bool explains_;
  std::map<std::pair<int, uint32_t>, uint64_t> fates_;  // by kind and id: what its holders share
  std::string difference_;
};

void Oracle::entered(std::span<uint64_t, 11> regs, std::span<std::byte> stack) {
  frames_.push_back({regs, stack});
}

void Oracle::left() { frames_.pop_back(); }

// The first instruction of a frame says which subprogram it is.
void Oracle::begin(size_t insn) {
  Frame& frame = frames_.back();
  const jit::ProgramDef& def = program_.def();
  frame.fresh = false;
  frame.subprog = subprog_at(def, insn);
  if (frame.subprog >= def.subprogs.size()) return find("a frame begins inside a subprogram");
  const size_t depth = frames_.size() - 1;
  if (depth > 0) {
    const Frame& caller = frames_[depth - 1];
    frame.root = caller.root;
    frame.call_site = static_cast<uint32_t>(caller.last);
    if (!is_pseudo_call(def.insns[caller.last])) frame.entered = Entered::looped;
    if (frame.entered == Entered::called && is_global(def, frame.subprog)) {
      frame.root = depth;
      frame.entered = Entered::global;
      const auto& params = def.subprogs[frame.subprog].params;
      for (size_t n = 0; n < params.size(); ++n) lend(frame.regs[n + 1], params[n]);
    }
  }
  // Nothing of this may be read: registers that are no arguments, stack that is not zeroed.
  frame.regs[0] = poison_;
  for (unsigned r = depth == 0 ? 2 : 6; r < 10; ++r) frame.regs[r] = poison_ + r;
  if (!program_.zeroed_stack()[frame.subprog])
    std::ranges::fill(frame.stack, static_cast<std::byte>(poison_));
  Calls calls;
  for (size_t f = frame.root; f <= depth; ++f)
    calls.emplace_back(frames_[f].subprog, f == frame.root ? 0 : frames_[f].call_site,
                       frames_[f].entered);
  frame.states = record_.find(calls);
}

// Loops without a budget were walked to their end. So between two turns that are counted a run
// executes no more instructions than the walk had; a global function has a walk of its own.
void Oracle::check_end(const jit::RunContext& run) {
  Frame& frame = frames_[frames_.back().root];
  const uint64_t turns = run.turns_left + run.turns_after_limit;
  if (turns != frame.turns) {
    frame.turns = turns;
    frame.since_turn = 0;
  } else if (++frame.since_turn > program_.insns_processed()) {
    find("the run would never end: no turns of its loops are counted");
  }
}

void Oracle::before(size_t insn, jit::RunContext& run) {
  if (!finding_.empty()) return run.end(static_cast<uint32_t>(insn));
  if (++insns_ > kMostInsns) run.end(static_cast<uint32_t>(insn));
  const jit::ProgramDef& def = program_.def();
  Frame& frame = frames_.back();
  if (frame.fresh)
    begin(insn);
  else if (const jit::Insn& before = def.insns[frame.last]; before.code == (jit::kJmp | jit::kCall))
    for (unsigned r = 1; r <= 5; ++r) frame.regs[r] = poison_ + r;
  frame.last = insn;
  check_end(run);
  if (!program_.facts()[insn].reached) return find(fmt::format("insn {}: dead code runs", insn));
  check_state(insn);
  check_access(def.insns[insn]);
  if (is_helper_call(def.insns[insn])) check_call(def.insns[insn]);
}

void Oracle::check_state(size_t insn) {
  const Frame& frame = frames_.back();
  const auto* states = frame.states;
  const auto found =
      states == nullptr ? StateRecord::PerInsn::const_iterator{} : states->find(insn);
  if (states == nullptr || found == states->end())
    return find(fmt::format("insn {}: was not walked along these calls", insn));
  const auto& all = found->second;
  for (size_t n = all.size(); n-- > 0;)
    if (Match(*this, frame.root, false).holds(all[n])) return;
  Match last(*this, frame.root, true);
  last.holds(all.back());
  find(fmt::format("insn {} ({}): in none of {} states; of the last one: {}\n{}", insn,
                   disassemble(program_.def().insns, insn), all.size(), last.difference(),
                   to_string(all.back(), object_)));
}

}  // namespace uarena::fuzz
