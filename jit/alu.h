// What the arithmetic instructions of RFC 9669 compute, written once as plain functions: the
// interpreter runs on them and the compiler is tested against them. T is uint32_t or uint64_t; the
// upper half of a register after a 32-bit operation is zero, which the caller sees to.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "jit/isa.h"

namespace uarena::jit {

// Division by zero gives 0, a remainder by zero the dividend; the one overflow of signed division
// gives the dividend back, with remainder 0.
template <std::unsigned_integral T>
constexpr T divide(T dividend, T divisor, bool is_signed) {
  if (divisor == 0) return 0;
  if (!is_signed) return dividend / divisor;
  using S = std::make_signed_t<T>;
  if (static_cast<S>(divisor) == -1) return T{0} - dividend;
  return static_cast<T>(static_cast<S>(dividend) / static_cast<S>(divisor));
}

template <std::unsigned_integral T>
constexpr T remainder(T dividend, T divisor, bool is_signed) {
  if (divisor == 0) return dividend;
  if (!is_signed) return dividend % divisor;
  using S = std::make_signed_t<T>;
  if (static_cast<S>(divisor) == -1) return 0;
  return static_cast<T>(static_cast<S>(dividend) % static_cast<S>(divisor));
}

// Sign-extends the low `bits` (8, 16 or 32).
constexpr uint64_t sign_extend(uint64_t value, unsigned bits) {
  const unsigned rest = 64 - bits;
  return static_cast<uint64_t>(static_cast<int64_t>(value << rest) >> rest);
}

// All two-operand operations but kMov with an offset (sign extension), kNeg and kEnd. `signed_op`:
// the offset field is 1, which asks for the signed division or remainder.
template <std::unsigned_integral T>
constexpr T alu(uint8_t op, T dst, T src, bool signed_op) {
  constexpr unsigned kShiftMask = std::numeric_limits<T>::digits - 1;
  switch (op) {
    case kAdd:
      return dst + src;
    case kSub:
      return dst - src;
    case kMul:
      return dst * src;
    case kDiv:
      return divide(dst, src, signed_op);
    case kMod:
      return remainder(dst, src, signed_op);
    case kOr:
      return dst | src;
    case kAnd:
      return dst & src;
    case kXor:
      return dst ^ src;
    case kLsh:
      return dst << (src & kShiftMask);
    case kRsh:
      return dst >> (src & kShiftMask);
    case kArsh:
      return static_cast<T>(static_cast<std::make_signed_t<T>>(dst) >> (src & kShiftMask));
    default:
      return src;  // kMov
  }
}

// kEnd: truncation to little-endian (class ALU, K), to big-endian (class ALU, X), or an
// unconditional swap (class ALU64). The host is little-endian.
constexpr uint64_t byte_order(uint64_t value, unsigned bits, bool swap) {
  if (swap) return std::byteswap(value) >> (64 - bits);
  return bits == 64 ? value : value & ((uint64_t{1} << bits) - 1);
}

// K57: the user's address of an arena pointer; NULL stays NULL.
constexpr uint64_t cast_user(uint64_t pointer, uint64_t user_vm_start) {
  const auto low = static_cast<uint32_t>(pointer);
  return low == 0 ? 0 : (user_vm_start & ~uint64_t{0xffffffff}) | low;
}

// Conditional jumps. T as above.
template <std::unsigned_integral T>
constexpr bool condition(uint8_t op, T dst, T src) {
  using S = std::make_signed_t<T>;
  switch (op) {
    case kJeq:
      return dst == src;
    case kJne:
      return dst != src;
    case kJgt:
      return dst > src;
    case kJge:
      return dst >= src;
    case kJlt:
      return dst < src;
    case kJle:
      return dst <= src;
    case kJsgt:
      return static_cast<S>(dst) > static_cast<S>(src);
    case kJsge:
      return static_cast<S>(dst) >= static_cast<S>(src);
    case kJslt:
      return static_cast<S>(dst) < static_cast<S>(src);
    case kJsle:
      return static_cast<S>(dst) <= static_cast<S>(src);
    default:
      return (dst & src) != 0;  // kJset
  }
}

}  // namespace uarena::jit
