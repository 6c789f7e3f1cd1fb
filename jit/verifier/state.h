// What is known at one point of one path: the registers and stack of every active frame. The walk
// (explore.h) steps states forward; here is what it compares and
// joins, and print.h says how people read it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "jit/verifier/cfg.h"
#include "jit/verifier/liveness.h"
#include "jit/verifier/scalar.h"

namespace uarena::jit::verifier {

enum class Kind : uint8_t {
  uninit,       // must not be read
  scalar,       // `number` is its value
  ctx,          // pointers: `number` is the offset from the start of what they point to
  stack,        // … from the frame pointer of frame `frame`
  map_value,    // … from the start of a value of map `map`
  memory,       // … from the start of `size` bytes: a ring buffer record, an iterator's value, …
  map_key,      // … from the start of a key of map `map`; read-only
  packet,       // … from the packet's start: `number` + `fixed`
  packet_meta,  // … from the start of the bytes before the packet
  packet_end,   // behind the packet's last byte
  map_ptr,      // the map `map` itself
  gone,         // to what has been given back: an address still, of which no number may come
  callback,     // the subprogram `map`
  arena,        // after cast_kern; any 32-bit value, not tracked (K48, K77)
};

struct Reg {
  Kind kind = Kind::uninit;
  bool or_null = false;  // pointers: or 0, and only a comparison with 0 may follow
  uint8_t frame = 0;
  uint32_t map = 0;
  // What shares an id (0: none) shares a fate. Scalars: copies of each other; what a branch teaches
  // about one holds for all. Pointers that may be NULL: all are, or none. Packet pointers: the same
  // variable part. Values of maps with a lock: of the same element.
  uint32_t id = 0;
  uint32_t ref = 0;        // the reference (State::refs) that it comes from; 0: none
  int64_t delta = 0;       // scalars: what this copy was moved by, from what the id stands for
  bool read_only = false;  // memory
  uint32_t size = 0;       // memory: bytes of it. Packet: bytes behind `number` known to be there.
  int32_t fixed = 0;       // packet: the constant part of the offset
  Scalar number;

  static Reg scalar(const Scalar& s) { return {.kind = Kind::scalar, .number = s}; }
  static Reg arena() { return {.kind = Kind::arena}; }
  static Reg pointer(Kind kind, uint32_t map = 0) {
    return {.kind = kind, .map = map, .number = Scalar::constant(0)};
  }
  static Reg frame_pointer(size_t frame) {
    return {
        .kind = Kind::stack, .frame = static_cast<uint8_t>(frame), .number = Scalar::constant(0)};
  }
  bool is_packet() const { return kind == Kind::packet || kind == Kind::packet_meta; }
  // Addresses of the broker's own memory; these must not reach a client (K72).
  bool is_broker_pointer() const { return kind >= Kind::ctx && kind <= Kind::callback; }
};

enum class Byte : uint8_t {
  uninit,    // reads as any number; the frame is then zeroed when it is entered
  misc,      // some number
  zero,      // 0
  spill,     // of a register that was stored
  lost,      // what is left of an address: must not be read
  iterator,  // of a struct bpf_iter_num
  irq_flags,
};

// Eight bytes of stack. bytes[0] is the lowest address. `spill` bytes are all eight or, of a
// number, one aligned half; they hold the low bytes of `spilled`. Iterators and flags have their
// reference in `spilled.ref`.
struct Slot {
  std::array<Byte, 8> bytes{};
  bool drained = false;  // an iterator that gave NULL
  Reg spilled;

  bool is_spill() const { return bytes[0] == Byte::spill && bytes[7] == Byte::spill; }
  bool has_spill() const { return bytes[0] == Byte::spill || bytes[7] == Byte::spill; }
  bool is_pointer() const { return is_spill() && spilled.is_broker_pointer(); }
  bool is(Byte b) const { return bytes[0] == b; }
  bool is_special() const { return bytes[0] == Byte::iterator || bytes[0] == Byte::irq_flags; }
  void set_spill(const Reg& reg) {
    bytes.fill(Byte::spill);
    spilled = reg;
    drained = false;
  }
  void set_all(Byte b) {
    bytes.fill(b);
    spilled = {};
    drained = false;
  }
};

// Why a frame is there.
enum class Entered : uint8_t {
  called,  // or the program's own
  looped,  // the callback of bpf_loop and bpf_for_each_map_elem: goes back to the call
  timed,   // the callback of a timer: the first frame of its own walk
  global,  // a global function: the first frame of its own walk
};

struct Frame {
  uint32_t subprog = 0;
  uint32_t call_site = 0;  // in the caller's frame; a first frame has none
  Entered entered = Entered::called;
  uint64_t turns = 0;  // of the callback that this frame's call runs, so far
  std::array<Reg, 11> regs{};
  std::vector<Slot> stack;  // slot n: bytes [-8(n+1), -8n); missing ones are uninitialised
};

// What was acquired and has to be given back before the program ends.
struct Ref {
  enum class Kind : uint8_t { record, iterator, irq_flags, lock, res_lock };
  Kind kind = Kind::record;
  uint32_t id = 0;
  uint32_t insn = 0;   // where
  uint32_t map = 0;    // locks: whose value they are in,
  uint32_t value = 0;  // of which element (Reg::id),
  uint32_t offset = 0;
  size_t frame = 0;
};

struct State {
  std::vector<Frame> frames;  // the running one last
  std::vector<Ref> refs;      // in the order of acquiring
  uint16_t rcu_locks = 0;
  uint16_t preempt_locks = 0;

  Frame& top() { return frames.back(); }
  const Frame& top() const { return frames.back(); }
  std::array<Reg, 11>& regs() { return frames.back().regs; }
  const std::array<Reg, 11>& regs() const { return frames.back().regs; }
  const Ref* find_ref(Ref::Kind kind) const;  // the newest of that kind
  bool holds_lock() const {
    return find_ref(Ref::Kind::lock) != nullptr || find_ref(Ref::Kind::res_lock) != nullptr;
  }
  // Forgets the reference, and every register and slot that comes from it.
  void release(uint32_t id);
  // The same, but it still has to be given back.
  void take_back_pointers(uint32_t ref);
};

// Calls `f` with every register and every spilled register.
template <typename F>
void for_each_reg(State& state, F&& f) {
  for (Frame& frame : state.frames) {
    for (Reg& reg : frame.regs) f(reg);
    for (Slot& slot : frame.stack)
      if (slot.has_spill()) f(slot.spilled);
  }
}

// Forgets what no continuation from `at` can read. `live` is per instruction.
void forget_dead(State& state, size_t at, const std::vector<Live>& live);

// An id that only one scalar has says nothing.
void forget_single_ids(State& state);

// Same functions, called from the same places.
bool same_calls(const State& a, const State& b);

// Everything that `now` allows was allowed by `before`: if all paths from `before` are safe, so are
// all from `now`. Call sites must agree (same_calls).
bool subsumes(const State& before, const State& now);

// Widens `now` to hold `before` as well, giving up what changes between them, so that a loop
// settles. What is a pointer here and a number there can't be read afterwards. False when the two
// hold different references; `now` is then as it was. `rounds`: how often this place was widened
// before; after a few no bound is kept.
bool widen(const State& before, State& now, std::span<const int64_t> thresholds, unsigned rounds);

}  // namespace uarena::jit::verifier
