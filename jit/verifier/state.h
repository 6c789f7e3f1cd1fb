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
  uninit,     // must not be read
  scalar,     // `number` is its value
  ctx,        // pointers: `number` is the offset from the start of what they point to
  stack,      // … from the frame pointer of frame `frame`
  map_value,  // … from the start of the value of map `map`
  map_ptr,    // the map `map` itself
  arena,      // after cast_kern; any 32-bit value, not tracked (K48, K77)
};

struct Reg {
  Kind kind = Kind::uninit;
  uint8_t frame = 0;
  uint32_t map = 0;
  // Scalars that are copies of each other share an id (0: none): what a branch teaches about one
  // holds for all.
  uint32_t id = 0;
  Scalar number;

  static Reg scalar(const Scalar& s) { return {Kind::scalar, 0, 0, 0, s}; }
  static Reg arena() { return {Kind::arena, 0, 0, 0, {}}; }
  // Addresses of the broker's own memory; these must not reach a client (K72).
  bool is_broker_pointer() const { return kind >= Kind::ctx && kind <= Kind::map_ptr; }
};

enum class Byte : uint8_t { uninit, misc, zero, spill };

// Eight bytes of stack. bytes[0] is the lowest address. All eight are `spill` when a register was
// stored whole, and `spilled` then says what it was.
struct Slot {
  std::array<Byte, 8> bytes{};
  Reg spilled;

  bool is_spill() const { return bytes[0] == Byte::spill; }
  void set_spill(const Reg& reg) {
    bytes.fill(Byte::spill);
    spilled = reg;
  }
  void set_all(Byte b) {
    bytes.fill(b);
    spilled = {};
  }
};

struct Frame {
  uint32_t subprog = 0;
  uint32_t call_site = 0;   // in the caller's frame; the entry has none
  uint32_t activation = 0;  // a number of its own for each call on a path
  std::array<Reg, 11> regs{};
  std::vector<Slot> stack;  // slot n: bytes [-8(n+1), -8n); missing ones are uninitialised
};

struct State {
  std::vector<Frame> frames;  // the running one last

  Frame& top() { return frames.back(); }
  const Frame& top() const { return frames.back(); }
  std::array<Reg, 11>& regs() { return frames.back().regs; }
  const std::array<Reg, 11>& regs() const { return frames.back().regs; }
};

// Forgets what no continuation from `at` can read. `live` is per instruction.
void forget_dead(State& state, size_t at, const std::vector<Live>& live);

// Same functions, called from the same places.
bool same_calls(const State& a, const State& b);

// Everything that `now` allows was allowed by `before`: if all paths from `before` are safe, so are
// all from `now`. Call sites must agree (same_calls).
bool subsumes(const State& before, const State& now);

// Widens `now` to hold `before` as well, giving up what changes between them, so that a loop
// settles. False when the two differ in kind (a pointer here, a number there); `now` is then as it
// was. `rounds`: how often this place was widened before; after a few no bound is kept.
bool widen(const State& before, State& now, std::span<const int64_t> thresholds, unsigned rounds);

}  // namespace uarena::jit::verifier
