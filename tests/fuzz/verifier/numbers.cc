// Numbers: where unknown ones come from, what is computed of them, and the ways in which programs
// bring them into bounds. The mistakes of these ways are those of which verifiers live.
#include <linux/bpf.h>

#include <algorithm>

#include "tests/fuzz/verifier/body.h"
#include "tests/fuzz/verifier/world.h"

namespace uarena::fuzz {

using namespace jit;

// A number that nobody knows, from one of the places where a run finds such.
void Body::number(unsigned r) {
  const int bytes = random_.one_of(kB, kH, kW, kW, kDw, kDw);
  const int mode = bytes != kDw && pick(4) == 0 ? kMemsx : kMem;
  const int ctx = any_reg(What::ctx);
  if (ctx >= 0 && plan_.type == ProgramType::syscall && pick(3)) {
    put(kLdx | mode | bytes, r, static_cast<unsigned>(ctx), 8 * static_cast<int>(pick(16)), 0);
  } else if (pick(3) == 0 && r < 6 && (held_ & 0x3f) == 0) {
    call(BPF_FUNC_get_prandom_u32);
    copy(r, 0);
  } else if (const int other = number_reg(); other >= 0 && pick(3) == 0) {
    copy(r, static_cast<unsigned>(other));
    transform(r);
  } else {
    to_value(r, kBss, 8 * below(7));
    put(kLdx | mode | bytes, r, r, 0, 0);
  }
  reg(r) = Known::number();
  if (mode == kMemsx || bytes == kDw) return;
  if (out_.back().code != (kLdx | mode | bytes)) return;
  reg(r) = Known::within(0, bytes == kB ? 0xff : bytes == kH ? 0xffff : 0xffffffff);
}

// Any operation. What comes out may be anything.
void Body::transform(unsigned r) {
  const int cls = pick(3) ? kAlu64 : kAlu;
  const unsigned bits = cls == kAlu64 ? 64 : 32;
  const int other = number_reg();
  const bool by_register = other >= 0 && pick(2);
  const auto src = static_cast<unsigned>(std::max(other, 0));
  const int op = random_.one_of(kAdd, kAdd, kSub, kMul, kDiv, kOr, kAnd, kLsh, kRsh, kMod, kXor,
                                kArsh, kMov, kNeg, kEnd);
  const int is_signed = op == kDiv || op == kMod ? static_cast<int>(pick(2)) : 0;
  reg(r) = Known::number();
  switch (op) {
    case kNeg:
      return put(cls | kNeg, r, 0, 0, 0);
    case kEnd:
      return put(cls | kEnd | (cls == kAlu ? random_.one_of(0, kX) : 0), r, 0, 0,
                 random_.one_of(16, 32, 64));
    case kMov: {
      const int width = random_.one_of(0, 8, 16, 32);
      return put(cls | kMov | kX, r,
                 pick(2)       ? r
                 : by_register ? src
                               : r,
                 cls == kAlu && width == 32 ? 0 : width, 0);
    }
    case kLsh:
    case kRsh:
    case kArsh:
      if (!by_register) return put(cls | op, r, 0, 0, pick(bits));
      break;
    default:
      break;
  }
  if (by_register) return put(cls | op | kX, r, src, is_signed, 0);
  int imm = constant();
  if (imm == 0 && (op == kDiv || op == kMod)) imm = 3;
  put(cls | op, r, 0, is_signed, imm);
}

// An operation on a bounded number of which it is known what comes out.
void Body::compute(unsigned r) {
  Known& known = reg(r);
  const int64_t min = known.min, max = known.max;
  if (!known.bounded || min < -0x10000 || max > 0x10000) return;
  const int cls = min >= 0 && pick(3) == 0 ? kAlu : kAlu64;
  const auto set = [&](int64_t a, int64_t b) {
    known = Known::within(std::min(a, b), std::max(a, b));
  };
  const int64_t n = 1 + below(9);
  switch (pick(10)) {
    case 0:
      put(cls | kAdd, r, 0, 0, n);
      return set(min + n, max + n);
    case 1:
      if (min < n) return;
      put(cls | kSub, r, 0, 0, n);
      return set(min - n, max - n);
    case 2:
      put(cls | kMul, r, 0, 0, n);
      return set(min * n, max * n);
    case 3:
      put(cls | kLsh, r, 0, 0, n % 4);
      return set(min << (n % 4), max << (n % 4));
    case 4:
      put(cls | (min < 0 ? kArsh : random_.one_of(kRsh, kArsh)), r, 0, 0, n % 4);
      return set(min >> (n % 4), max >> (n % 4));
    case 5:
      put(kAlu64 | kNeg, r, 0, 0, 0);
      return set(-max, -min);
    case 6:
      if (min < 0) return;
      put(cls | kDiv, r, 0, static_cast<int>(pick(2)), n);
      return set(min / n, max / n);
    case 7:
      if (min < 0) return;
      put(cls | kMod, r, 0, static_cast<int>(pick(2)), n);
      return set(0, std::min(max, n - 1));
    case 8: {  // movsx, of what fits
      const int width = max < 0x80 && min >= -0x80 ? 8 : max < 0x8000 && min >= -0x8000 ? 16 : 32;
      return put(kAlu64 | kMov | kX, r, r, width, 0);
    }
    default: {  // another one like it, added
      const int other = number_reg();
      if (other < 0) return;
      const Known& b = reg(static_cast<unsigned>(other));
      if (!b.bounded || b.min < 0 || b.max > 0x10000 || min < 0) return;
      const bool sub = pick(2);
      put((sub ? kAlu64 : cls) | (sub ? kSub : kAdd) | kX, r, static_cast<unsigned>(other), 0, 0);
      return sub ? set(min - b.max, max - b.min) : set(min + b.min, max + b.max);
    }
  }
}

void Body::out(int code, unsigned dst, unsigned src, int64_t imm) {
  guards_.back().jumps.push_back(jump(code, dst, src, imm));
  guards_.back().pictures.push_back(picture_);
}

// Leaves when `r op imm` holds, said in one of many ways.
void Body::out_if(int cls, int op, unsigned r, int64_t imm) {
  const auto negated = [](int o) {
    constexpr std::pair<int, int> kPairs[] = {
        {kJeq, kJne}, {kJgt, kJle}, {kJge, kJlt}, {kJsgt, kJsle}, {kJsge, kJslt}};
    for (const auto& [a, b] : kPairs) {
      if (o == a) return b;
      if (o == b) return a;
    }
    return o;
  };
  const auto swapped = [](int o) {
    constexpr std::pair<int, int> kPairs[] = {
        {kJgt, kJlt}, {kJge, kJle}, {kJsgt, kJslt}, {kJsge, kJsle}};
    for (const auto& [a, b] : kPairs) {
      if (o == a) return b;
      if (o == b) return a;
    }
    return o;
  };
  // The same with another constant: > 7 is >= 8.
  if (pick(2) && (op == kJgt || op == kJsgt)) {
    op = op == kJgt ? kJge : kJsge;
    ++imm;
  }
  if (pick(4) == 0 && op != kJset) {  // over a jump
    const size_t in = jump(cls | negated(op), r, 0, imm);
    out(kJmp | kJa, 0, 0, 0);
    return land(in);
  }
  if (pick(3) == 0) {
    const unsigned bound = free_reg({r});
    mov(bound, imm);
    if (pick(2) && op != kJset) return out(cls | swapped(op) | kX, bound, r, 0);
    return out(cls | op | kX, r, bound, 0);
  }
  out(cls | op, r, 0, imm);
}

void Body::bound_by_jump(unsigned r, int64_t most) {
  const Known before = reg(r);
  const bool positive = before.bounded && before.min >= 0;
  const int kind = static_cast<int>(pick(5));
  if (kind == 0) {  // signed, with both ends
    const bool low_first = pick(2);
    const auto low = [&] {
      if (!(positive && pick(2)) && !slip()) out_if(kJmp, kJslt, r, 0);
    };
    if (low_first) low();
    out_if(kJmp, kJsgt, r, most);
    if (!low_first) low();
  } else if (kind == 1) {  // in 32 bits
    const bool narrow = before.bounded && before.min >= 0 && before.max <= 0xffffffff;
    const bool first = pick(2);
    if (!narrow && first) put(kAlu | kMov | kX, r, r, 0, 0);
    out_if(kJmp32, kJgt, r, most);
    if (!narrow && !first && !slip()) put(kAlu | kMov | kX, r, r, 0, 0);
  } else if (kind == 2) {  // in 32 bits, signed
    if (!slip()) out_if(kJmp32, kJslt, r, 0);
    out_if(kJmp32, kJsgt, r, most);
    if (!slip()) put(kAlu | kMov | kX, r, r, 0, 0);
  } else if (kind == 3 && (most & (most + 1)) == 0) {  // bits that must not be set
    out_if(kJmp, kJset, r, ~most);
  } else {
    out_if(slip() ? kJmp32 : kJmp, slip() ? kJsgt : kJgt, r, most);
  }
}

// A check of one copy holds for the others.
void Body::bound_by_copy(unsigned r, int64_t most) {
  const unsigned other = free_reg({r});
  const bool half = pick(4) == 0;
  if (half)
    put(kAlu | kMov | kX, other, r, 0, 0);
  else
    copy(other, r);
  const int64_t moved = half ? 0 : random_.one_of(0, 0, 1, 8, -1, -8);
  if (moved != 0) {
    put(kAlu64 | kAdd, other, 0, 0, moved);
    out_if(kJmp, kJslt, other, moved);
    out_if(kJmp, kJsgt, other, most + moved);
  } else {
    bound_by_jump(other, most);
  }
  if (half && !slip()) put(kAlu | kMov | kX, r, other, 0, 0);
  reg(other) = Known::number();
}

// The number goes to the stack and comes back, and is checked on the way.
void Body::bound_by_slot(unsigned r, int64_t most) {
  const int n = free_slot();
  if (n < 0) return bound_by_jump(r, most);
  const int bytes = random_.one_of(kDw, kDw, kW);
  if (bytes == kW && !slip()) put(kAlu | kMov | kX, r, r, 0, 0);
  put(kStx | kMem | bytes, 10, r, slot_offset(n), 0);
  slot(n) = Known::number();
  const unsigned held = held_slots_;
  held_slots_ |= 1u << n;
  const bool check_first = pick(2);
  if (check_first) out_if(kJmp, kJgt, r, most);
  const unsigned other = check_first ? r : free_reg({r});
  put(kLdx | kMem | (slip() ? kDw : bytes), other, 10, slot_offset(n), 0);
  reg(other) = Known::number();
  if (!check_first) {
    bound_by_jump(other, most);
    if (slip()) bytes == kW ? put(kLdx | kMem | bytes, r, 10, slot_offset(n), 0) : void();
  }
  held_slots_ = held;
}

void Body::bound(unsigned r, int64_t most) {
  const Hold hold(*this, {r});
  int64_t limit = most;
  if (slip()) limit += random_.one_of(1, 1, 1, 2, -1);
  const int cls = pick(2) ? kAlu64 : kAlu;
  int64_t mask = 0;
  while (mask * 2 + 1 <= limit) mask = mask * 2 + 1;
  const unsigned bits =
      static_cast<unsigned>(64 - __builtin_clzll(static_cast<uint64_t>(mask) | 1));
  switch (mask == 0 ? 0 : pick(12)) {
    case 0:
      put(cls | kAnd, r, 0, 0, mask);
      break;
    case 1:  // a few of the bits
      put(cls | kAnd, r, 0, 0, mask & random_.one_of(0x38, 0x1c, 0x55, 0x7c));
      break;
    case 2:
      put(cls | kMod, r, 0, 0, limit + 1);
      break;
    case 3:
      put(kAlu64 | kRsh, r, 0, 0, 64 - bits);
      break;
    case 4:
      put(kAlu | kRsh, r, 0, 0, 32 - bits);
      break;
    case 5: {  // what is too large becomes the largest
      const int width = slip() ? kJmp32 : kJmp;
      const size_t in = jump(width | random_.one_of(kJlt, kJle), r, 0, limit);
      mov(r, limit);
      land(in);
      break;
    }
    case 6:
      bound_by_copy(r, limit);
      break;
    case 7:
      bound_by_slot(r, limit);
      break;
    case 8: {  // a remainder with a sign
      const int sign = cls;
      put(sign | kMod, r, 0, 1, limit + 1);
      if (sign == kAlu && !slip()) put(kAlu64 | kMov | kX, r, r, 32, 0);
      if (!slip()) out_if(kJmp, kJslt, r, 0);
      break;
    }
    case 9:  // only the low part, read with its sign
      put(kAlu64 | kMov | kX, r, r, random_.one_of(8, 16, 32), 0);
      bound_by_jump(r, limit);
      break;
    default:
      bound_by_jump(r, limit);
  }
  reg(r) = Known::within(0, most);
}

// A conditional jump of any kind on numbers; to be aimed.
size_t Body::condition_jump() {
  const int a = number_reg(), b = number_reg();
  const int op =
      random_.one_of(kJeq, kJne, kJgt, kJge, kJlt, kJle, kJsgt, kJsge, kJslt, kJsle, kJset);
  const int cls = pick(3) ? kJmp : kJmp32;
  if (a < 0) return jump(kJmp | kJcond, 0, 0, 0);
  const auto dst = static_cast<unsigned>(a);
  if (pick(3) == 0) return jump(cls | op | kX, dst, static_cast<unsigned>(b), 0);
  return jump(cls | op, dst, 0, constant());
}

}  // namespace uarena::fuzz
