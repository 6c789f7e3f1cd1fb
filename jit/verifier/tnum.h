// Known bits of a number: each bit is 0, 1 or unknown. Alignment, masks and flags are exact in this
// form, where intervals lose them. A bit is unknown where `mask` has it; `value` holds the known
// ones (value & mask == 0). The type parameter is the width, uint32_t or uint64_t.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace uarena::jit::verifier {

template <typename U>
struct Tnum {
  U value = 0;
  U mask = std::numeric_limits<U>::max();

  static constexpr unsigned kBits = std::numeric_limits<U>::digits;
  static constexpr Tnum constant(U v) { return {v, 0}; }
  static constexpr Tnum unknown() { return {}; }
  // The bits that all numbers of [low, high] have in common: the shared prefix.
  static constexpr Tnum of_range(U low, U high) {
    const U differing = low ^ high;
    if (differing == 0) return constant(low);
    const U m = static_cast<U>(std::numeric_limits<U>::max() >> std::countl_zero(differing));
    return {static_cast<U>(low & ~m), m};
  }

  constexpr bool is_constant() const { return mask == 0; }
  constexpr bool contains(U v) const { return ((v ^ value) & ~mask) == 0; }
  constexpr bool contains(Tnum o) const {
    return (o.mask & ~mask) == 0 && ((o.value ^ value) & ~mask) == 0;
  }
  constexpr bool conflicts(Tnum o) const { return ((value ^ o.value) & ~mask & ~o.mask) != 0; }
  constexpr U max() const { return value | mask; }
  constexpr unsigned trailing_zeros() const {
    return static_cast<unsigned>(std::countr_zero(max()));
  }
  friend constexpr bool operator==(Tnum, Tnum) = default;
};

// Numbers that are in both; the two must not conflict.
template <typename U>
constexpr Tnum<U> meet(Tnum<U> a, Tnum<U> b) {
  const U mask = a.mask & b.mask;
  return {static_cast<U>((a.value | b.value) & ~mask), mask};
}

// The smallest set that holds both.
template <typename U>
constexpr Tnum<U> join(Tnum<U> a, Tnum<U> b) {
  const U mask = a.mask | b.mask | (a.value ^ b.value);
  return {static_cast<U>(a.value & ~mask), mask};
}

// Holds both, and gives up every bit from the lowest one that changed: a counter keeps its
// alignment and nothing else, so that a chain of widenings ends after at most kBits steps.
template <typename U>
constexpr Tnum<U> widen(Tnum<U> before, Tnum<U> after) {
  const Tnum<U> both = join(before, after);
  const U changed = both.mask & ~before.mask;
  if (changed == 0) return both;
  const U mask = both.mask | static_cast<U>(~((changed & (~changed + 1)) - 1));
  return {static_cast<U>(both.value & ~mask), mask};
}

// A sum's bit is known where both operands' bits are and no unknown carry arrives: the carries
// differ between the smallest and the largest sum exactly where one may arrive.
template <typename U>
constexpr Tnum<U> operator+(Tnum<U> a, Tnum<U> b) {
  const U low = a.value + b.value;
  const U high = a.max() + b.max();
  const U mask = (low ^ high) | a.mask | b.mask;
  return {static_cast<U>(low & ~mask), mask};
}

template <typename U>
constexpr Tnum<U> operator-(Tnum<U> a, Tnum<U> b) {
  const U low = a.value - b.max();
  const U high = a.max() - b.value;
  const U mask = (low ^ high) | a.mask | b.mask;
  return {static_cast<U>((a.value - b.value) & ~mask), mask};
}

template <typename U>
constexpr Tnum<U> operator&(Tnum<U> a, Tnum<U> b) {
  const U value = a.value & b.value;
  return {value, static_cast<U>(a.max() & b.max() & ~value)};
}

template <typename U>
constexpr Tnum<U> operator|(Tnum<U> a, Tnum<U> b) {
  const U value = a.value | b.value;
  return {value, static_cast<U>((a.mask | b.mask) & ~value)};
}

template <typename U>
constexpr Tnum<U> operator^(Tnum<U> a, Tnum<U> b) {
  const U mask = a.mask | b.mask;
  return {static_cast<U>((a.value ^ b.value) & ~mask), mask};
}

// Trailing zeros add up; all else of a product of unknowns is unknown.
template <typename U>
constexpr Tnum<U> operator*(Tnum<U> a, Tnum<U> b) {
  if (a.is_constant() && b.is_constant())
    return Tnum<U>::constant(static_cast<U>(a.value * b.value));
  const unsigned zeros = a.trailing_zeros() + b.trailing_zeros();
  if (zeros >= Tnum<U>::kBits) return Tnum<U>::constant(0);
  return {0, static_cast<U>(std::numeric_limits<U>::max() << zeros)};
}

template <typename U>
constexpr Tnum<U> operator<<(Tnum<U> a, unsigned by) {
  return {static_cast<U>(a.value << by), static_cast<U>(a.mask << by)};
}

template <typename U>
constexpr Tnum<U> operator>>(Tnum<U> a, unsigned by) {
  return {static_cast<U>(a.value >> by), static_cast<U>(a.mask >> by)};
}

// An unknown sign bit spreads as unknown.
template <typename U>
constexpr Tnum<U> shift_right_signed(Tnum<U> a, unsigned by) {
  using S = std::make_signed_t<U>;
  return {static_cast<U>(static_cast<S>(a.value) >> by),
          static_cast<U>(static_cast<S>(a.mask) >> by)};
}

}  // namespace uarena::jit::verifier
