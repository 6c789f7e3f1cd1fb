// Operations of Range, each bound by bound: where an operation could wrap around, that view is
// given up and normalize() takes back what the other views still know.
#include "jit/verifier/range.h"

namespace uarena::jit::verifier {

template <typename U>
Range<U> Range<U>::of_unsigned(U low, U high) {
  Range r;
  r.umin = low;
  r.umax = high;
  r.normalize();
  return r;
}

template <typename U>
Range<U> Range<U>::of_signed(S low, S high) {
  Range r;
  r.smin = low;
  r.smax = high;
  r.normalize();
  return r;
}

template <typename U>
void Range<U>::meet_bits(Tnum<U> known) {
  if (bits.conflicts(known))
    set_empty();
  else
    bits = meet(bits, known);
}

template <typename U>
void Range<U>::meet_unsigned(U low, U high) {
  umin = std::max(umin, low);
  umax = std::min(umax, high);
}

template <typename U>
void Range<U>::meet_signed(S low, S high) {
  smin = std::max(smin, low);
  smax = std::min(smax, high);
}

template <typename U>
void Range<U>::normalize() {
  constexpr U sign = U{1} << (Tnum<U>::kBits - 1);
  for (int round = 0; round < 2; ++round) {
    if (empty()) return;
    meet_unsigned(bits.value, bits.max());
    meet_signed(static_cast<S>(bits.value | (bits.mask & sign)),
                static_cast<S>(bits.value | (bits.mask & ~sign)));
    if (empty()) return;
    if (smin >= 0 || smax < 0) meet_unsigned(static_cast<U>(smin), static_cast<U>(smax));
    if (static_cast<S>(umin) <= static_cast<S>(umax))
      meet_signed(static_cast<S>(umin), static_cast<S>(umax));
    if (empty()) return;
    // Known low bits: the ends move to the nearest numbers that have them.
    const U unknown_from = bits.mask & (~bits.mask + 1);
    if (unknown_from > 1) {
      const U low_bits = unknown_from - 1;
      const U known = bits.value & low_bits;
      const U up = (umin & ~low_bits) | known;
      const U down = (umax & ~low_bits) | known;
      if (up < umin && up > kMax - unknown_from) return set_empty();
      if (down > umax && down < unknown_from) return set_empty();
      umin = up < umin ? up + unknown_from : up;
      umax = down > umax ? down - unknown_from : down;
      if (empty()) return;
    }
    meet_bits(Tnum<U>::of_range(umin, umax));
  }
}

namespace {

template <typename U>
Range<U> add(const Range<U>& a, const Range<U>& b) {
  Range<U> r;
  r.bits = a.bits + b.bits;
  U high;
  if (!__builtin_add_overflow(a.umax, b.umax, &high))
    r.meet_unsigned(static_cast<U>(a.umin + b.umin), high);
  typename Range<U>::S low_s, high_s;
  if (!__builtin_add_overflow(a.smin, b.smin, &low_s) &&
      !__builtin_add_overflow(a.smax, b.smax, &high_s))
    r.meet_signed(low_s, high_s);
  return r;
}

template <typename U>
Range<U> sub(const Range<U>& a, const Range<U>& b) {
  Range<U> r;
  r.bits = a.bits - b.bits;
  if (a.umin >= b.umax)
    r.meet_unsigned(static_cast<U>(a.umin - b.umax), static_cast<U>(a.umax - b.umin));
  typename Range<U>::S low, high;
  if (!__builtin_sub_overflow(a.smin, b.smax, &low) &&
      !__builtin_sub_overflow(a.smax, b.smin, &high))
    r.meet_signed(low, high);
  return r;
}

template <typename U>
Range<U> mul(const Range<U>& a, const Range<U>& b) {
  Range<U> r;
  r.bits = a.bits * b.bits;
  U high;
  if (!__builtin_mul_overflow(a.umax, b.umax, &high))
    r.meet_unsigned(static_cast<U>(a.umin * b.umin), high);
  typename Range<U>::S p[4];
  bool wraps = __builtin_mul_overflow(a.smin, b.smin, &p[0]);
  wraps = __builtin_mul_overflow(a.smin, b.smax, &p[1]) || wraps;
  wraps = __builtin_mul_overflow(a.smax, b.smin, &p[2]) || wraps;
  wraps = __builtin_mul_overflow(a.smax, b.smax, &p[3]) || wraps;
  if (!wraps) r.meet_signed(*std::min_element(p, p + 4), *std::max_element(p, p + 4));
  return r;
}

template <typename U>
Range<U> div(const Range<U>& a, const Range<U>& b) {
  if (b.umax == 0) return Range<U>::constant(0);
  const U smallest = b.umin == 0 ? 0 : static_cast<U>(a.umin / b.umax);
  return Range<U>::of_unsigned(smallest, static_cast<U>(a.umax / std::max<U>(b.umin, 1)));
}

template <typename U>
Range<U> mod(const Range<U>& a, const Range<U>& b) {
  if (b.umax == 0 || a.umax < b.umin) return a;
  if (b.umin == 0) return Range<U>::of_unsigned(0, a.umax);
  if (a.is_constant() && b.is_constant())
    return Range<U>::constant(static_cast<U>(a.umin % b.umin));
  return Range<U>::of_unsigned(0, std::min<U>(a.umax, b.umax - 1));
}

template <typename U>
Range<U> sdiv(const Range<U>& a, const Range<U>& b) {
  using S = typename Range<U>::S;
  if (a.smin == Range<U>::kSmin) return {};  // also INT_MIN / -1
  if (a.is_constant() && b.is_constant())
    return Range<U>::constant(b.smin == 0 ? U{0} : static_cast<U>(a.smin / b.smin));
  const S magnitude = std::max<S>(static_cast<S>(-a.smin), a.smax);
  if (a.smin >= 0 && b.smin >= 0)
    return Range<U>::of_signed(0, static_cast<S>(a.smax / std::max<S>(b.smin, 1)));
  return Range<U>::of_signed(static_cast<S>(-magnitude), magnitude);
}

// The remainder has the dividend's sign and is no larger.
template <typename U>
Range<U> smod(const Range<U>& a, const Range<U>& b) {
  using S = typename Range<U>::S;
  if (a.is_constant() && b.is_constant() && b.smin != -1)
    return b.smin == 0 ? a : Range<U>::constant(static_cast<U>(a.smin % b.smin));
  if (a.smin >= 0 && b.smin > 0)
    return Range<U>::of_signed(0, std::min<S>(a.smax, static_cast<S>(b.smax - 1)));
  return Range<U>::of_signed(std::min<S>(a.smin, 0), std::max<S>(a.smax, 0));
}

template <typename U>
Range<U> or_(const Range<U>& a, const Range<U>& b) {
  Range<U> r;
  r.bits = a.bits | b.bits;
  r.umin = std::max(a.umin, b.umin);
  return r;
}

template <typename U>
Range<U> and_(const Range<U>& a, const Range<U>& b) {
  Range<U> r;
  r.bits = a.bits & b.bits;
  r.umax = std::min(a.umax, b.umax);
  return r;
}

struct Amount {
  unsigned min;
  unsigned max;
  bool is_constant() const { return min == max; }
};

template <typename U>
Amount shift_amount(const Range<U>& b) {
  constexpr U limit = Tnum<U>::kBits - 1;
  if (b.is_constant()) {
    const auto n = static_cast<unsigned>(b.umin & limit);
    return {n, n};
  }
  if (b.umax > limit) return {0, static_cast<unsigned>(limit)};
  return {static_cast<unsigned>(b.umin), static_cast<unsigned>(b.umax)};
}

template <typename U>
Range<U> lsh(const Range<U>& a, const Range<U>& b) {
  const Amount by = shift_amount(b);
  Range<U> r;
  if (by.is_constant())
    r.bits = a.bits << by.min;
  else
    r.bits = {0, static_cast<U>(Range<U>::kMax
                                << std::min(a.bits.trailing_zeros() + by.min, Tnum<U>::kBits - 1))};
  if (a.umax <= static_cast<U>(Range<U>::kMax >> by.max))
    r.meet_unsigned(static_cast<U>(a.umin << by.min), static_cast<U>(a.umax << by.max));
  return r;
}

template <typename U>
Range<U> rsh(const Range<U>& a, const Range<U>& b) {
  const Amount by = shift_amount(b);
  Range<U> r;
  if (by.is_constant()) r.bits = a.bits >> by.min;
  r.meet_unsigned(static_cast<U>(a.umin >> by.max), static_cast<U>(a.umax >> by.min));
  return r;
}

template <typename U>
Range<U> arsh(const Range<U>& a, const Range<U>& b) {
  using S = typename Range<U>::S;
  const Amount by = shift_amount(b);
  Range<U> r;
  if (by.is_constant()) r.bits = shift_right_signed(a.bits, by.min);
  r.meet_signed(static_cast<S>(a.smin >> (a.smin < 0 ? by.min : by.max)),
                static_cast<S>(a.smax >> (a.smax < 0 ? by.max : by.min)));
  return r;
}

}  // namespace

template <typename U>
Range<U> apply(Op op, const Range<U>& a, const Range<U>& b) {
  Range<U> r;
  switch (op) {
    case Op::add:
      r = add(a, b);
      break;
    case Op::sub:
      r = sub(a, b);
      break;
    case Op::mul:
      r = mul(a, b);
      break;
    case Op::div:
      r = div(a, b);
      break;
    case Op::mod:
      r = mod(a, b);
      break;
    case Op::sdiv:
      r = sdiv(a, b);
      break;
    case Op::smod:
      r = smod(a, b);
      break;
    case Op::and_:
      r = and_(a, b);
      break;
    case Op::or_:
      r = or_(a, b);
      break;
    case Op::xor_:
      r.bits = a.bits ^ b.bits;
      break;
    case Op::lsh:
      r = lsh(a, b);
      break;
    case Op::rsh:
      r = rsh(a, b);
      break;
    case Op::arsh:
      r = arsh(a, b);
      break;
  }
  r.normalize();
  return r;
}

template <typename U>
Range<U> sign_extended(const Range<U>& a, unsigned bits_wide) {
  using S = typename Range<U>::S;
  if (bits_wide >= Tnum<U>::kBits) return a;
  const S high = static_cast<S>((U{1} << (bits_wide - 1)) - 1);
  const S low = static_cast<S>(-high - 1);
  if (a.smin >= low && a.smax <= high) return a;
  const unsigned by = Tnum<U>::kBits - bits_wide;
  Range<U> r;
  r.bits = shift_right_signed(a.bits << by, by);
  r.meet_signed(low, high);
  r.normalize();
  return r;
}

template <typename U>
Range<U> join(const Range<U>& a, const Range<U>& b) {
  Range<U> r;
  r.bits = join(a.bits, b.bits);
  r.umin = std::min(a.umin, b.umin);
  r.umax = std::max(a.umax, b.umax);
  r.smin = std::min(a.smin, b.smin);
  r.smax = std::max(a.smax, b.smax);
  return r;
}

template <typename U>
Range<U> widen(const Range<U>& before, const Range<U>& after, std::span<const int64_t> thresholds) {
  using S = typename Range<U>::S;
  Range<U> r = join(before, after);
  r.bits = widen(before.bits, after.bits);
  auto fits_unsigned = [](int64_t t) {
    return t >= 0 && static_cast<uint64_t>(t) <= Range<U>::kMax;
  };
  auto fits_signed = [](int64_t t) { return t >= Range<U>::kSmin && t <= Range<U>::kSmax; };
  const bool u_down = r.umin<before.umin, u_up = r.umax> before.umax;
  const bool s_down = r.smin<before.smin, s_up = r.smax> before.smax;
  U umin = 0, umax = Range<U>::kMax;
  S smin = Range<U>::kSmin, smax = Range<U>::kSmax;
  for (const int64_t t : thresholds) {
    if (fits_unsigned(t) && static_cast<U>(t) <= r.umin) umin = std::max(umin, static_cast<U>(t));
    if (fits_unsigned(t) && static_cast<U>(t) >= r.umax) umax = std::min(umax, static_cast<U>(t));
    if (fits_signed(t) && static_cast<S>(t) <= r.smin) smin = std::max(smin, static_cast<S>(t));
    if (fits_signed(t) && static_cast<S>(t) >= r.smax) smax = std::min(smax, static_cast<S>(t));
  }
  if (u_down) r.umin = umin;
  if (u_up) r.umax = umax;
  if (s_down) r.smin = smin;
  if (s_up) r.smax = smax;
  r.normalize();
  return r;
}

#define UARENA_INSTANTIATE(U)                                    \
  template struct Range<U>;                                      \
  template Range<U> apply(Op, const Range<U>&, const Range<U>&); \
  template Range<U> sign_extended(const Range<U>&, unsigned);    \
  template Range<U> join(const Range<U>&, const Range<U>&);      \
  template Range<U> widen(const Range<U>&, const Range<U>&, std::span<const int64_t>);
UARENA_INSTANTIATE(uint32_t)
UARENA_INSTANTIATE(uint64_t)
#undef UARENA_INSTANTIATE

}  // namespace uarena::jit::verifier
