// What is known of a number of one width: its bits, and its bounds read as unsigned and as signed.
// Each view knows things that the others can't say; normalize() carries them across. All
// operations are sound: the result holds every number that the machine can compute from members of
// the operands (division by zero gives 0, the remainder by zero the dividend, shift amounts are
// taken modulo the width, as the instruction set says).
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

#include "jit/verifier/tnum.h"

namespace uarena::jit::verifier {

template <typename U>
struct Range {
  using S = std::make_signed_t<U>;
  static constexpr U kMax = std::numeric_limits<U>::max();
  static constexpr S kSmin = std::numeric_limits<S>::min();
  static constexpr S kSmax = std::numeric_limits<S>::max();

  Tnum<U> bits;
  U umin = 0;
  U umax = kMax;
  S smin = kSmin;
  S smax = kSmax;

  static constexpr Range constant(U v) {
    return {Tnum<U>::constant(v), v, v, static_cast<S>(v), static_cast<S>(v)};
  }
  static Range of_unsigned(U low, U high);
  static Range of_signed(S low, S high);

  bool is_constant() const { return umin == umax; }
  bool is_unknown() const { return *this == Range{}; }
  // No number at all: a branch that can't be taken.
  bool empty() const { return umin > umax || smin > smax; }
  bool contains(U v) const {
    return bits.contains(v) && v >= umin && v <= umax && static_cast<S>(v) >= smin &&
           static_cast<S>(v) <= smax;
  }
  bool contains(const Range& o) const {
    return bits.contains(o.bits) && o.umin >= umin && o.umax <= umax && o.smin >= smin &&
           o.smax <= smax;
  }
  void set_empty() {
    umin = 1;
    umax = 0;
  }
  // Takes over what the other view of the same number knows.
  void meet_bits(Tnum<U> known);
  void meet_unsigned(U low, U high);
  void meet_signed(S low, S high);
  // Lets the three views tighten each other. May find that nothing is left.
  void normalize();
  friend bool operator==(const Range&, const Range&) = default;
};

enum class Op { add, sub, mul, div, mod, sdiv, smod, and_, or_, xor_, lsh, rsh, arsh };
enum class Cond { eq, ne, lt, le, gt, ge, slt, sle, sgt, sge, set, clear };

Cond negated(Cond cond);

template <typename U>
Range<U> apply(Op op, const Range<U>& a, const Range<U>& b);

// The low `bits_wide` bits as a signed number (movsx).
template <typename U>
Range<U> sign_extended(const Range<U>& a, unsigned bits_wide);

// Keeps what fits `a cond b`. False: no pair of members fits.
template <typename U>
bool refine(Cond cond, Range<U>& a, Range<U>& b);

template <typename U>
Range<U> join(const Range<U>& a, const Range<U>& b);

// Holds both. A bound that moved goes on to the next of `thresholds` (ascending; the constants a
// program compares with), or to the end where there is none.
template <typename U>
Range<U> widen(const Range<U>& before, const Range<U>& after, std::span<const int64_t> thresholds);

extern template struct Range<uint32_t>;
extern template struct Range<uint64_t>;

}  // namespace uarena::jit::verifier
