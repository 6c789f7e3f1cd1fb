// What a condition that holds teaches about its two operands: each keeps the numbers for which
// there is one of the other that fits. Nothing is left where it can't hold.
#include "jit/verifier/range.h"

namespace uarena::jit::verifier {
namespace {

template <typename U>
bool refine_ne(Range<U>& a, const Range<U>& b) {
  if (!b.is_constant()) return true;
  const U v = b.umin;
  const auto s = static_cast<typename Range<U>::S>(v);
  if (a.is_constant()) return a.umin != v;
  if (a.umin == v) ++a.umin;
  if (a.umax == v) --a.umax;
  if (a.smin == s && a.smin != Range<U>::kSmax) ++a.smin;
  if (a.smax == s && a.smax != Range<U>::kSmin) --a.smax;
  return true;
}

template <typename U>
bool refine_lt(Range<U>& a, Range<U>& b) {
  if (b.umax == 0 || a.umin == Range<U>::kMax) return false;
  a.meet_unsigned(0, static_cast<U>(b.umax - 1));
  b.meet_unsigned(static_cast<U>(a.umin + 1), Range<U>::kMax);
  return true;
}

template <typename U>
bool refine_le(Range<U>& a, Range<U>& b) {
  a.meet_unsigned(0, b.umax);
  b.meet_unsigned(a.umin, Range<U>::kMax);
  return true;
}

template <typename U>
bool refine_slt(Range<U>& a, Range<U>& b) {
  using S = typename Range<U>::S;
  if (b.smax == Range<U>::kSmin || a.smin == Range<U>::kSmax) return false;
  a.meet_signed(Range<U>::kSmin, static_cast<S>(b.smax - 1));
  b.meet_signed(static_cast<S>(a.smin + 1), Range<U>::kSmax);
  return true;
}

template <typename U>
bool refine_sle(Range<U>& a, Range<U>& b) {
  a.meet_signed(Range<U>::kSmin, b.smax);
  b.meet_signed(a.smin, Range<U>::kSmax);
  return true;
}

template <typename U>
bool refine_eq(Range<U>& a, Range<U>& b) {
  a.meet_bits(b.bits);
  a.meet_unsigned(b.umin, b.umax);
  a.meet_signed(b.smin, b.smax);
  a.normalize();
  b = a;
  return true;
}

// a & b != 0 (set) or == 0 (clear); only a constant mask teaches something.
template <typename U>
bool refine_mask(bool set, Range<U>& a, const Range<U>& b) {
  if (set && (a.bits.max() & b.bits.max()) == 0) return false;
  if (!set && (a.bits.value & b.bits.value) != 0) return false;
  if (!b.is_constant()) return true;
  const U mask = b.umin;
  if (!set)
    a.meet_bits({0, static_cast<U>(~mask)});
  else if (std::has_single_bit(mask))
    a.meet_bits({mask, static_cast<U>(~mask)});
  return true;
}

template <typename U>
bool refine_one(Cond cond, Range<U>& a, Range<U>& b) {
  switch (cond) {
    case Cond::eq:
      return refine_eq(a, b);
    case Cond::ne:
      return refine_ne(a, b) && refine_ne(b, a);
    case Cond::lt:
      return refine_lt(a, b);
    case Cond::le:
      return refine_le(a, b);
    case Cond::gt:
      return refine_lt(b, a);
    case Cond::ge:
      return refine_le(b, a);
    case Cond::slt:
      return refine_slt(a, b);
    case Cond::sle:
      return refine_sle(a, b);
    case Cond::sgt:
      return refine_slt(b, a);
    case Cond::sge:
      return refine_sle(b, a);
    case Cond::set:
      return refine_mask(true, a, b);
    case Cond::clear:
      return refine_mask(false, a, b);
  }
  return true;
}

}  // namespace

Cond negated(Cond cond) {
  switch (cond) {
    case Cond::eq:
      return Cond::ne;
    case Cond::ne:
      return Cond::eq;
    case Cond::lt:
      return Cond::ge;
    case Cond::ge:
      return Cond::lt;
    case Cond::gt:
      return Cond::le;
    case Cond::le:
      return Cond::gt;
    case Cond::slt:
      return Cond::sge;
    case Cond::sge:
      return Cond::slt;
    case Cond::sgt:
      return Cond::sle;
    case Cond::sle:
      return Cond::sgt;
    case Cond::set:
      return Cond::clear;
    case Cond::clear:
      return Cond::set;
  }
  return cond;
}

template <typename U>
bool refine(Cond cond, Range<U>& a, Range<U>& b) {
  if (!refine_one(cond, a, b)) return false;
  a.normalize();
  b.normalize();
  return !a.empty() && !b.empty();
}

template bool refine(Cond, Range<uint32_t>&, Range<uint32_t>&);
template bool refine(Cond, Range<uint64_t>&, Range<uint64_t>&);

}  // namespace uarena::jit::verifier
