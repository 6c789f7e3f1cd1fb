// A register's number: what is known of all 64 bits and of the low 32 as a number of their own,
// because programs compute and compare in both widths. The transfer functions here are those of
// the instructions; every one is sound (see range.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "jit/verifier/range.h"

namespace uarena::jit::verifier {

struct Scalar {
  Range<uint64_t> full;
  Range<uint32_t> low;

  static Scalar unknown() { return {}; }
  static Scalar constant(uint64_t v);
  // Any number of `bytes` bytes, zero-extended.
  static Scalar of_bytes(unsigned bytes);

  bool is_constant() const { return full.is_constant(); }
  std::optional<uint64_t> value() const {
    if (is_constant()) return full.umin;
    return std::nullopt;
  }
  bool empty() const { return full.empty() || low.empty(); }
  bool contains(uint64_t v) const {
    return full.contains(v) && low.contains(static_cast<uint32_t>(v));
  }
  bool contains(const Scalar& o) const { return full.contains(o.full) && low.contains(o.low); }
  // Lets the two widths tighten each other.
  void sync();
  friend bool operator==(const Scalar&, const Scalar&) = default;
};

Scalar apply64(Op op, const Scalar& a, const Scalar& b);
Scalar apply32(Op op, const Scalar& a, const Scalar& b);  // upper half becomes 0
Scalar truncated32(const Scalar& a);                      // mov32
Scalar sign_extended64(const Scalar& a, unsigned bits);   // bits: 8, 16, 32
Scalar sign_extended32(const Scalar& a, unsigned bits);   // bits: 8, 16
Scalar byte_swapped(const Scalar& a, unsigned bits);      // bits: 16, 32, 64
Scalar low_bits(const Scalar& a, unsigned bits);          // to little endian: 16, 32, 64

// Keeps what fits the condition; false: it can't hold.
bool refine64(Cond cond, Scalar& a, Scalar& b);
bool refine32(Cond cond, Scalar& a, Scalar& b);

// Keeps what both hold of one number; `a` stays as it was if that is nothing.
void meet(Scalar& a, const Scalar& b);
Scalar join(const Scalar& a, const Scalar& b);
Scalar widen(const Scalar& before, const Scalar& after, std::span<const int64_t> thresholds);

// "7", "[0,15] mask 0x8", "any".
std::string to_string(const Scalar& s);

}  // namespace uarena::jit::verifier
