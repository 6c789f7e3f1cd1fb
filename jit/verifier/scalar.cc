// Scalars as pairs of ranges. A 64-bit operation also gives the low half exactly where the low half
// of the result depends on the low halves only (add, multiply, and, …).
#include "jit/verifier/scalar.h"

#include <fmt/format.h>

namespace uarena::jit::verifier {
namespace {

constexpr uint64_t kLow = 0xffffffff;

Scalar zero_extended(const Range<uint32_t>& low) {
  Scalar s;
  s.low = low;
  s.full.bits = {low.bits.value, low.bits.mask};
  s.full.umin = low.umin;
  s.full.umax = low.umax;
  s.full.normalize();
  s.sync();
  return s;
}

bool low_depends_on_low(Op op, const Scalar& b) {
  switch (op) {
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::and_:
    case Op::or_:
    case Op::xor_:
      return true;
    case Op::lsh:
      return b.full.umax < 32;
    default:
      return false;
  }
}

void exchange_bits(Scalar& s) {
  s.low.meet_bits(
      {static_cast<uint32_t>(s.full.bits.value), static_cast<uint32_t>(s.full.bits.mask)});
  if (!s.low.empty()) s.full.meet_bits({s.low.bits.value, s.low.bits.mask | ~kLow});
}

void exchange_bounds(Scalar& s) {
  auto& [full, low] = s;
  if (full.umin >> 32 == full.umax >> 32) {  // the upper half is known
    const uint64_t high = full.umin & ~kLow;
    low.meet_unsigned(static_cast<uint32_t>(full.umin), static_cast<uint32_t>(full.umax));
    full.meet_unsigned(high | low.umin, high | low.umax);
  }
  if (full.smin >= INT32_MIN && full.smax <= INT32_MAX) {
    low.meet_signed(static_cast<int32_t>(full.smin), static_cast<int32_t>(full.smax));
    full.meet_signed(low.smin, low.smax);
  }
}

}  // namespace

void Scalar::sync() {
  for (int round = 0; round < 2; ++round) {
    if (empty()) return;
    exchange_bits(*this);
    if (empty()) return;
    exchange_bounds(*this);
    full.normalize();
    low.normalize();
  }
}

Scalar Scalar::constant(uint64_t v) {
  return {Range<uint64_t>::constant(v), Range<uint32_t>::constant(static_cast<uint32_t>(v))};
}

Scalar Scalar::of_bytes(unsigned bytes) {
  if (bytes >= 8) return {};
  Scalar s;
  s.full = Range<uint64_t>::of_unsigned(0, (uint64_t{1} << (bytes * 8)) - 1);
  s.sync();
  return s;
}

Scalar apply64(Op op, const Scalar& a, const Scalar& b) {
  Scalar s;
  s.full = apply(op, a.full, b.full);
  if (low_depends_on_low(op, b)) s.low = apply(op, a.low, b.low);
  s.sync();
  return s;
}

Scalar apply32(Op op, const Scalar& a, const Scalar& b) {
  return zero_extended(apply(op, a.low, b.low));
}

Scalar truncated32(const Scalar& a) { return zero_extended(a.low); }

Scalar sign_extended64(const Scalar& a, unsigned bits) {
  if (bits == 32) {
    Scalar s;
    s.full = Range<uint64_t>::of_signed(a.low.smin, a.low.smax);
    s.low = a.low;
    s.sync();
    return s;
  }
  Scalar s;
  s.full = sign_extended(a.full, bits);
  s.sync();
  return s;
}

Scalar sign_extended32(const Scalar& a, unsigned bits) {
  return zero_extended(sign_extended(a.low, bits));
}

Scalar byte_swapped(const Scalar& a, unsigned bits) {
  if (const auto v = a.value()) {
    if (bits == 16) return Scalar::constant(__builtin_bswap16(static_cast<uint16_t>(*v)));
    if (bits == 32) return Scalar::constant(__builtin_bswap32(static_cast<uint32_t>(*v)));
    return Scalar::constant(__builtin_bswap64(*v));
  }
  return Scalar::of_bytes(bits / 8);
}

Scalar low_bits(const Scalar& a, unsigned bits) {
  if (bits >= 64) return a;
  return apply64(Op::and_, a, Scalar::constant((uint64_t{1} << bits) - 1));
}

bool refine64(Cond cond, Scalar& a, Scalar& b) {
  if (!refine(cond, a.full, b.full)) return false;
  a.sync();
  b.sync();
  return !a.empty() && !b.empty();
}

bool refine32(Cond cond, Scalar& a, Scalar& b) {
  if (!refine(cond, a.low, b.low)) return false;
  a.sync();
  b.sync();
  return !a.empty() && !b.empty();
}

void meet(Scalar& a, const Scalar& b) {
  Scalar both = a;
  both.full.meet_bits(b.full.bits);
  both.full.meet_unsigned(b.full.umin, b.full.umax);
  both.full.meet_signed(b.full.smin, b.full.smax);
  both.low.meet_bits(b.low.bits);
  both.low.meet_unsigned(b.low.umin, b.low.umax);
  both.low.meet_signed(b.low.smin, b.low.smax);
  both.sync();
  if (!both.empty()) a = both;
}

Scalar join(const Scalar& a, const Scalar& b) { return {join(a.full, b.full), join(a.low, b.low)}; }

Scalar widen(const Scalar& before, const Scalar& after, std::span<const int64_t> thresholds) {
  Scalar s{widen(before.full, after.full, thresholds), widen(before.low, after.low, thresholds)};
  s.sync();
  return s;
}

std::string to_string(const Scalar& s) {
  if (const auto v = s.value()) return fmt::format("{}", static_cast<int64_t>(*v));
  if (s == Scalar::unknown()) return "any";
  std::string out;
  if (s.full.smin < 0)
    out = fmt::format("[{},{}]", s.full.smin, s.full.smax);
  else
    out = fmt::format("[{},{}]", s.full.umin, s.full.umax);
  if (s.full.bits.mask != Tnum<uint64_t>::of_range(s.full.umin, s.full.umax).mask)
    out += fmt::format(" bits (0x{:x}; 0x{:x})", s.full.bits.value, s.full.bits.mask);
  if (s.full.umax > kLow && !s.low.is_unknown())
    out += fmt::format(" low [{},{}]", s.low.umin, s.low.umax);
  return out;
}

}  // namespace uarena::jit::verifier
