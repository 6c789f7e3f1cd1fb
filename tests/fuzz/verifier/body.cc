// What all parts of a function need: choices, and single instructions with what they change in the
// picture.
#include "tests/fuzz/verifier/body.h"

#include <linux/bpf.h>

#include <algorithm>

#include "tests/support/insn.h"

namespace uarena::fuzz {

using namespace jit;

namespace {

// Of a mistake being made where one could be, while there are some to make.
constexpr unsigned kSlipOneIn = 6;

}  // namespace

Body::Body(Random& random, Plan& plan, std::vector<Insn>& out, Sub self)
    : random_(random), plan_(plan), out_(out), self_(self) {
  const auto& args = plan.signatures[self].args;
  for (size_t n = 0; n < args.size(); ++n) picture_.regs[n + 1] = args[n];
}

void Body::make(unsigned count) {
  // R6 is the context for as long as the function runs.
  if (self_ == kMain && pick(8)) {
    copy(6, 1);
    held_ |= 1u << 6;
  } else if (picture_.regs[1].what != What::nothing) {
    copy(6 + pick(4), 1);
  }
  check_params();
  for (unsigned r = 7; r < 10; ++r)
    if (pick(2) && reg(r).what == What::nothing) number(r);
  items(count);
  const bool callback = self_ == kCallback || self_ == kEach;
  if (callback) {
    if (pick(8)) mov(0, random_.one_of(0, 0, 0, 1));
  } else if (!reg(0).is_number() || pick(2)) {
    const int r = number_reg();
    if (r > 0)
      copy(0, static_cast<unsigned>(r));
    else if (r < 0)
      mov(0, 1);
  }
  if (callback && (!reg(0).bounded || reg(0).min < 0 || reg(0).max > 1)) mov(0, 0);
  put(kJmp | kExit, 0, 0, 0, 0);
}

// Memory that may be NULL is checked at once.
void Body::check_params() {
  const auto& params = plan_.signatures[self_].params;
  for (size_t n = 0; n < params.size(); ++n) {
    if (params[n].kind != Param::Kind::memory_or_null || slip()) continue;
    const size_t in = jump(kJmp | kJne, static_cast<unsigned>(n) + 1, 0, 0);
    put(kAlu64 | kMov, 0, 0, 0, 0);
    put(kJmp | kExit, 0, 0, 0, 0);
    land(in);
  }
}

bool Body::slip() {
  if (plan_.mistakes == 0 || pick(kSlipOneIn) != 0) return false;
  --plan_.mistakes;
  return true;
}

unsigned Body::free_reg(std::initializer_list<unsigned> but) {
  unsigned r = 0;
  // Where nearly all are held something goes wrong, now and then.
  for (unsigned tries = 0; tries < 40; ++tries) {
    r = pick(10);
    if ((held_ >> r & 1) == 0 && std::ranges::find(but, r) == but.end()) break;
  }
  return r;
}

unsigned Body::saved_reg(std::initializer_list<unsigned> but) {
  for (unsigned tries = 0; tries < 8; ++tries) {
    const unsigned r = 6 + pick(4);
    if ((held_ >> r & 1) == 0 && std::ranges::find(but, r) == but.end()) return r;
  }
  return free_reg(but);
}

int Body::any_reg(What what) {
  const unsigned from = pick(10);
  for (unsigned n = 0; n < 10; ++n) {
    const unsigned r = (from + n) % 10;
    if (reg(r).what == what) return static_cast<int>(r);
  }
  return -1;
}

int Body::free_slot(int slots) {
  const int places = kSlots - slots + 1;
  const int from = static_cast<int>(below(places));
  for (int n = 0; n < places; ++n) {
    const int first = (from + n) % places;
    const unsigned mask = ((1u << slots) - 1) << first;
    if ((held_slots_ & mask) == 0) return first + slots - 1;
  }
  return -1;
}

int Body::constant() {
  return random_.one_of(0, 0, 1, 1, 2, 3, 7, 8, 15, 16, 31, 32, 56, 57, 63, 64, 255, 256, 4096, -1,
                        -1, -2, -8, -64, 0x7fff, 0x8000, 0x7fffffff, static_cast<int>(0x80000000));
}

void Body::put(int code, unsigned dst, unsigned src, int off, int64_t imm) {
  out_.push_back(test::make_insn(code, dst, src, off, imm));
}

void Body::mov(unsigned dst, int64_t imm) {
  put((pick(8) || imm < 0 ? kAlu64 : kAlu) | kMov, dst, 0, 0, imm);
  reg(dst) = Known::within(imm, imm);
}

void Body::copy(unsigned dst, unsigned src) {
  if (dst == src) return;
  put(kAlu64 | kMov | kX, dst, src, 0, 0);
  reg(dst) = src == 10 ? Known{.what = What::stack, .bounded = true, .strict = true} : reg(src);
}

void Body::add(unsigned dst, int64_t imm) {
  if (imm == 0) return;
  if (pick(6) == 0)
    put(kAlu64 | kSub, dst, 0, 0, -imm);
  else
    put(kAlu64 | kAdd, dst, 0, 0, imm);
  Known& known = reg(dst);
  known.min += imm;
  known.max += imm;
  if (known.is_number()) known.step = 1;
}

void Body::wide(unsigned dst, unsigned kind, int64_t low, uint64_t high) {
  put(kLd | kImm | kDw, dst, kind, 0, low);
  put(0, 0, 0, 0, static_cast<int32_t>(high));
  reg(dst) = Known::number();
}

void Body::call(int helper) {
  put(kJmp | kCall, 0, 0, 0, helper);
  picture_.call();
  const bool gives = helper != BPF_FUNC_spin_lock && helper != BPF_FUNC_spin_unlock &&
                     helper != BPF_FUNC_ringbuf_submit && helper != BPF_FUNC_ringbuf_discard;
  if (gives) reg(0) = Known::number();
}

void Body::kfunc(int index) {
  put(kJmp | kCall, 0, kPseudoKfuncCall, 0, index);
  picture_.call();
}

// Aimed later, by land().
size_t Body::jump(int code, unsigned dst, unsigned src, int64_t imm) {
  put(code, dst, src, 0, imm);
  return out_.size() - 1;
}

void Body::land(size_t from) { out_[from].off = static_cast<int16_t>(out_.size() - from - 1); }

void Body::back(int code, unsigned dst, unsigned src, int64_t imm, size_t to) {
  put(code, dst, src, static_cast<int>(to) - static_cast<int>(out_.size()) - 1, imm);
}

}  // namespace uarena::fuzz
