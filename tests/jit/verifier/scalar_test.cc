// Soundness of the numbers: whatever members of the operands the machine computes with, the result
// lies in what the transfer function says, for every operation, both widths and every condition.
// Seeded, thousands of cases each; a failure prints its operands.
#include "jit/verifier/scalar.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

namespace uarena::jit::verifier {
namespace {

using Random = std::mt19937_64;
constexpr int kCases = 6000;

// Numbers where things go wrong: small, near powers of two, near the ends, and any.
uint64_t number(Random& random) {
  uint64_t v = 0;
  switch (random() % 5) {
    case 0:
      v = random() % 20;
      break;
    case 1:
      v = (uint64_t{1} << (random() % 64)) + random() % 5 - 2;
      break;
    case 2:
      v = random() & 0xffffffff;
      break;
    case 3:
      v = (random() & 0xff) << (random() % 57);
      break;
    default:
      v = random();
  }
  return random() % 3 == 0 ? ~v + 1 : v;
}

// An abstract value that holds `member`: bounds and bits around it, some tight, some loose.
Scalar around(Random& random, uint64_t member) {
  if (random() % 6 == 0) return Scalar::constant(member);
  Scalar s;
  const auto m = static_cast<int64_t>(member);
  const auto low = static_cast<uint32_t>(member);
  const uint64_t other = number(random);
  const auto o = static_cast<int64_t>(other);
  if (random() % 2) s.full.meet_unsigned(std::min(member, other), std::max(member, other));
  if (random() % 2) s.full.meet_signed(std::min(m, o), std::max(m, o));
  if (random() % 2) {
    const uint64_t mask = number(random);
    s.full.meet_bits({member & ~mask, mask});
  }
  const auto other_low = static_cast<uint32_t>(number(random));
  if (random() % 3 == 0) s.low.meet_unsigned(std::min(low, other_low), std::max(low, other_low));
  if (random() % 3 == 0)
    s.low.meet_signed(std::min(static_cast<int32_t>(low), static_cast<int32_t>(other_low)),
                      std::max(static_cast<int32_t>(low), static_cast<int32_t>(other_low)));
  if (random() % 3 == 0) {
    const auto mask = static_cast<uint32_t>(number(random));
    s.low.meet_bits({low & ~mask, mask});
  }
  s.full.normalize();
  s.low.normalize();
  s.sync();
  return s;
}

// What the instruction set says (RFC 9669).
template <typename U>
U machine(Op op, U a, U b) {
  using S = std::make_signed_t<U>;
  constexpr unsigned bits = std::numeric_limits<U>::digits;
  const unsigned by = static_cast<unsigned>(b % bits);
  const S sa = static_cast<S>(a), sb = static_cast<S>(b);
  switch (op) {
    case Op::add:
      return a + b;
    case Op::sub:
      return a - b;
    case Op::mul:
      return a * b;
    case Op::div:
      return b == 0 ? 0 : a / b;
    case Op::mod:
      return b == 0 ? a : a % b;
    case Op::sdiv:
      return sb == 0 ? 0 : sb == -1 ? U{0} - a : static_cast<U>(sa / sb);
    case Op::smod:
      return sb == 0 ? a : sb == -1 ? 0 : static_cast<U>(sa % sb);
    case Op::and_:
      return a & b;
    case Op::or_:
      return a | b;
    case Op::xor_:
      return a ^ b;
    case Op::lsh:
      return a << by;
    case Op::rsh:
      return a >> by;
    case Op::arsh:
      return static_cast<U>(sa >> by);
  }
  return 0;
}

template <typename U>
bool holds(Cond cond, U a, U b) {
  using S = std::make_signed_t<U>;
  const S sa = static_cast<S>(a), sb = static_cast<S>(b);
  switch (cond) {
    case Cond::eq:
      return a == b;
    case Cond::ne:
      return a != b;
    case Cond::lt:
      return a < b;
    case Cond::le:
      return a <= b;
    case Cond::gt:
      return a > b;
    case Cond::ge:
      return a >= b;
    case Cond::slt:
      return sa < sb;
    case Cond::sle:
      return sa <= sb;
    case Cond::sgt:
      return sa > sb;
    case Cond::sge:
      return sa >= sb;
    case Cond::set:
      return (a & b) != 0;
    case Cond::clear:
      return (a & b) == 0;
  }
  return false;
}

struct Pair {
  uint64_t a, b;
  Scalar in_a, in_b;
};

Pair pair(Random& random) {
  Pair p;
  p.a = number(random);
  p.b = random() % 4 == 0 ? p.a : number(random);
  if (random() % 3 == 0) p.b &= 127;  // divisors and shift amounts of interest
  p.in_a = around(random, p.a);
  p.in_b = around(random, p.b);
  return p;
}

std::string describe(const Pair& p) {
  return fmt::format("a={:#x} in {}, b={:#x} in {}", p.a, to_string(p.in_a), p.b,
                     to_string(p.in_b));
}

class ScalarOp : public testing::TestWithParam<Op> {};

TEST_P(ScalarOp, ResultHoldsEveryOutcome) {
  Random random(1000 + static_cast<unsigned>(GetParam()));
  for (int n = 0; n < kCases; ++n) {
    const Pair p = pair(random);
    ASSERT_TRUE(p.in_a.contains(p.a) && p.in_b.contains(p.b)) << describe(p);
    const Scalar wide = apply64(GetParam(), p.in_a, p.in_b);
    ASSERT_TRUE(wide.contains(machine<uint64_t>(GetParam(), p.a, p.b)))
        << describe(p) << " gave " << to_string(wide);
    const Scalar narrow = apply32(GetParam(), p.in_a, p.in_b);
    ASSERT_TRUE(narrow.contains(
        machine<uint32_t>(GetParam(), static_cast<uint32_t>(p.a), static_cast<uint32_t>(p.b))))
        << describe(p) << " gave " << to_string(narrow);
  }
}

TEST_P(ScalarOp, ConstantsAreExact) {
  Random random(2000 + static_cast<unsigned>(GetParam()));
  for (int n = 0; n < kCases; ++n) {
    const uint64_t a = number(random), b = number(random);
    const auto wide = apply64(GetParam(), Scalar::constant(a), Scalar::constant(b)).value();
    // Not exact, and never wrong: the most negative dividend, and the remainder by -1.
    const bool odd = (GetParam() == Op::sdiv && static_cast<int64_t>(a) == INT64_MIN) ||
                     (GetParam() == Op::smod && b == ~uint64_t{0});
    if (!odd) {
      ASSERT_EQ(wide, machine<uint64_t>(GetParam(), a, b)) << a << " " << b;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ScalarOp,
                         testing::Values(Op::add, Op::sub, Op::mul, Op::div, Op::mod, Op::sdiv,
                                         Op::smod, Op::and_, Op::or_, Op::xor_, Op::lsh, Op::rsh,
                                         Op::arsh));

class ScalarCond : public testing::TestWithParam<Cond> {};

TEST_P(ScalarCond, RefiningKeepsWhatFits) {
  Random random(3000 + static_cast<unsigned>(GetParam()));
  int fitted = 0;
  for (int n = 0; n < kCases; ++n) {
    const Pair p = pair(random);
    for (const bool wide : {true, false}) {
      const bool fits = wide ? holds<uint64_t>(GetParam(), p.a, p.b)
                             : holds<uint32_t>(GetParam(), static_cast<uint32_t>(p.a),
                                               static_cast<uint32_t>(p.b));
      const Cond cond = fits ? GetParam() : negated(GetParam());
      Scalar a = p.in_a, b = p.in_b;
      ASSERT_TRUE(wide ? refine64(cond, a, b) : refine32(cond, a, b)) << describe(p);
      ASSERT_TRUE(a.contains(p.a) && b.contains(p.b))
          << describe(p) << " became " << to_string(a) << ", " << to_string(b);
      fitted += fits;
    }
  }
  EXPECT_GT(fitted, 100);
}

INSTANTIATE_TEST_SUITE_P(All, ScalarCond,
                         testing::Values(Cond::eq, Cond::ne, Cond::lt, Cond::le, Cond::gt, Cond::ge,
                                         Cond::slt, Cond::sle, Cond::sgt, Cond::sge, Cond::set,
                                         Cond::clear));

TEST(Scalar, UnaryResultsHoldEveryOutcome) {
  Random random(4);
  for (int n = 0; n < kCases; ++n) {
    const uint64_t v = number(random);
    const Scalar s = around(random, v);
    EXPECT_TRUE(truncated32(s).contains(static_cast<uint32_t>(v)));
    EXPECT_TRUE(sign_extended64(s, 8).contains(static_cast<uint64_t>(static_cast<int8_t>(v))));
    EXPECT_TRUE(sign_extended64(s, 16).contains(static_cast<uint64_t>(static_cast<int16_t>(v))));
    EXPECT_TRUE(sign_extended64(s, 32).contains(static_cast<uint64_t>(static_cast<int32_t>(v))));
    EXPECT_TRUE(sign_extended32(s, 8).contains(static_cast<uint32_t>(static_cast<int8_t>(v))));
    EXPECT_TRUE(sign_extended32(s, 16).contains(static_cast<uint32_t>(static_cast<int16_t>(v))));
    EXPECT_TRUE(byte_swapped(s, 16).contains(__builtin_bswap16(static_cast<uint16_t>(v))));
    EXPECT_TRUE(byte_swapped(s, 32).contains(__builtin_bswap32(static_cast<uint32_t>(v))));
    EXPECT_TRUE(byte_swapped(s, 64).contains(__builtin_bswap64(v)));
    EXPECT_TRUE(low_bits(s, 16).contains(v & 0xffff));
    EXPECT_TRUE(low_bits(s, 32).contains(v & 0xffffffff));
    EXPECT_TRUE(low_bits(s, 64).contains(v));
  }
}

TEST(Scalar, ImpossibleConditionsAreFound) {
  Scalar a = Scalar::of_bytes(1), b = Scalar::constant(256);
  EXPECT_FALSE(refine64(Cond::ge, a, b));
  a = Scalar::constant(3);
  b = Scalar::constant(3);
  EXPECT_FALSE(refine64(Cond::ne, a, b));
  a = Scalar::constant(6);
  b = Scalar::constant(9);
  EXPECT_FALSE(refine32(Cond::set, a, b));
}

TEST(Scalar, JoinAndWidenHoldBoth) {
  Random random(5);
  const int64_t thresholds[] = {-1, 0, 1, 7, 8, 9, 99, 100, 4095};
  for (int n = 0; n < kCases; ++n) {
    const Pair p = pair(random);
    const Scalar both = join(p.in_a, p.in_b);
    EXPECT_TRUE(both.contains(p.in_a) && both.contains(p.in_b)) << describe(p);
    const Scalar wider = widen(p.in_a, p.in_b, thresholds);
    EXPECT_TRUE(wider.contains(p.a) && wider.contains(p.b)) << describe(p);
  }
}

TEST(Scalar, SubsetAgreesWithMembers) {
  Random random(6);
  int subsets = 0;
  for (int n = 0; n < kCases * 4; ++n) {
    const Pair p = pair(random);
    if (!p.in_a.contains(p.in_b)) continue;
    ++subsets;
    EXPECT_TRUE(p.in_a.contains(p.b)) << describe(p);
  }
  EXPECT_GT(subsets, 100);
}

// A widened chain comes to rest, whatever is thrown at it.
TEST(Scalar, WideningSettles) {
  Random random(7);
  const int64_t thresholds[] = {0, 10, 1000};
  for (int n = 0; n < 500; ++n) {
    Scalar s = around(random, number(random));
    int changes = 0;
    for (int step = 0; step < 400; ++step) {
      const Scalar next = Scalar::constant(number(random));
      if (s.contains(next)) continue;
      s = widen(s, next, thresholds);
      ++changes;
    }
    EXPECT_LT(changes, 80);
  }
}

TEST(Scalar, CounterKeepsAlignmentAndBound) {
  const int64_t thresholds[] = {0, 799, 800, 801};
  const Scalar s = widen(Scalar::constant(0), Scalar::constant(8), thresholds);
  EXPECT_EQ(s.full.umax, 792u);
  EXPECT_TRUE(s.contains(Scalar::constant(16)));
  EXPECT_FALSE(s.full.contains(uint64_t{4}));
}

TEST(Scalar, WidthsLearnFromEachOther) {
  Scalar s = Scalar::of_bytes(4);
  Scalar limit = Scalar::constant(16);
  ASSERT_TRUE(refine32(Cond::lt, s, limit));
  EXPECT_EQ(s.full.umax, 15u);
  EXPECT_EQ(apply64(Op::lsh, s, Scalar::constant(3)).full.umax, 120u);
}

}  // namespace
}  // namespace uarena::jit::verifier
