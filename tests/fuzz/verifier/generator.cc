// Four subprograms: the program, a static function, a global function and a callback. Each is a
// sequence of idioms; jumps that single instructions make go anywhere in their own subprogram.
#include "tests/fuzz/verifier/generator.h"

#include <linux/bpf.h>

#include <algorithm>

#include "tests/fuzz/verifier/world.h"

namespace uarena::fuzz {
namespace {

using namespace jit;

enum Sub : uint32_t { kMain, kStatic, kGlobal, kCallback, kSubprogs };

Insn insn(int code, unsigned dst, unsigned src, int off, int imm) {
  Insn i;
  i.code = static_cast<uint8_t>(code);
  i.dst = static_cast<uint8_t>(dst & 15);
  i.src = static_cast<uint8_t>(src & 15);
  i.off = static_cast<int16_t>(off);
  i.imm = imm;
  return i;
}

// One subprogram.
class Body {
 public:
  Body(Random& random, std::vector<Insn>& out, Sub self)
      : random_(random), out_(out), self_(self), start_(out.size()) {}

  // Where another subprogram's place has to be filled in.
  struct Use {
    size_t at;
    Sub callee;
  };
  std::vector<Use> uses;

  void make(unsigned idioms) {
    prologue();
    for (unsigned n = 0; n < idioms; ++n) add_idiom();
    if (self_ == kCallback) {
      if (!random_.one_in(8)) mov(0, random_.one_of(0, 0, 1));
    } else if (!random_.one_in(4)) {
      mov(0, 1);
    }
    out_.push_back(insn(kJmp | kExit, 0, 0, 0, 0));
    for (const size_t at : loose_) aim(at);
  }

 private:
  unsigned pick(unsigned n) { return random_.pick(n); }
  unsigned reg() { return pick(10); }
  unsigned saved() { return 6 + pick(4); }
  unsigned scratch() { return pick(6); }
  int size() { return random_.one_of(kB, kH, kW, kDw, kDw, kDw); }
  void put(int code, unsigned dst, unsigned src, int off, int imm) {
    out_.push_back(insn(code, dst, src, off, imm));
  }
  void mov(unsigned dst, int imm) { put(kAlu64 | kMov, dst, 0, 0, imm); }
  void copy(unsigned dst, unsigned src) { put(kAlu64 | kMov | kX, dst, src, 0, 0); }
  void wide(unsigned dst, unsigned kind, int low, unsigned high) {
    put(kLd | kImm | kDw, dst, kind, 0, low);
    put(0, 0, 0, 0, static_cast<int>(high));
  }
  void call(int number) { put(kJmp | kCall, 0, 0, 0, number); }
  void kfunc(int index) { put(kJmp | kCall, 0, kPseudoKfuncCall, 0, index); }
  // A jump that is aimed later, by the idiom itself.
  size_t jump(int code, unsigned dst, unsigned src, int imm) {
    put(code, dst, src, 0, imm);
    return out_.size() - 1;
  }
  void land(size_t from) { out_[from].off = static_cast<int16_t>(out_.size() - from - 1); }
  void back(int code, unsigned dst, int imm, size_t to) {
    put(code, dst, 0, static_cast<int>(to) - static_cast<int>(out_.size()) - 1, imm);
  }

  void prologue() {
    // R6: the context where there is one; R7: a map value; R8: an arena pointer; R9: a number.
    if (self_ == kMain) {
      if (pick(4)) copy(6, 1);
      if (pick(2)) put(kLdx | kMem | kDw, 9, 1, 8 * static_cast<int>(pick(3)), 0);
    } else if (pick(2)) {
      copy(saved(), 1);
    }
    if (pick(2)) wide(7, kPseudoMapValue, kBss, 8 * pick(8));
    if (pick(3) == 0) arena_pointer(8);
  }

  void add_idiom() {
    switch (pick(24)) {
      case 0:
      case 1:
        return checked_index();
      case 2:
        return counted_loop();
      case 3:
        return may_goto_loop();
      case 4:
        return iterator_loop();
      case 5:
        return call_static();
      case 6:
        return call_global();
      case 7:
        return call_loop();
      case 8:
        return lookup();
      case 9:
        return arena_access();
      case 10:
        return copies_and_branches();
      case 11:
        return spill_and_fill();
      case 12:
        return section();
      case 13:
        call(BPF_FUNC_get_prandom_u32);
        return copy(saved(), 0);
      case 14:
      case 15:
        loose_.push_back(out_.size());
        return condition();
      default:
        return plain();
    }
  }

  void arena_pointer(unsigned dst) {
    wide(dst, kPseudoMapValue, kArena, 8 * pick(1024));
    put(kAlu64 | kMov | kX, dst, dst, kAddrSpaceCastOff, kCastKern);
  }

  // An unknown number.
  void unknown(unsigned dst) {
    switch (pick(4)) {
      case 0:
        return put(kLdx | kMem | size(), dst, 10, -8 * static_cast<int>(1 + pick(4)), 0);
      case 1:
        call(BPF_FUNC_get_prandom_u32);
        return copy(dst, 0);
      default:
        return put(kLdx | random_.one_of(kMem, kMem, kMemsx) | random_.one_of(kB, kH, kW), dst,
                   random_.one_of(6, 7), static_cast<int>(pick(16)), 0);
    }
  }

  void narrow(unsigned r) {
    const int bound = random_.one_of(1, 7, 8, 15, 48, 56, 57, 63, 64);
    switch (pick(4)) {
      case 0:
        return put(random_.one_of(kAlu, kAlu64) | kAnd, r, 0, 0, bound);
      case 1:
        return put(random_.one_of(kAlu, kAlu64) | kMod, r, 0, 0, bound);
      case 2:
        loose_.push_back(out_.size());
        return put(random_.one_of(kJmp, kJmp32) | random_.one_of(kJgt, kJge, kJsgt), r, 0, 0,
                   bound);
      default:
        return put(random_.one_of(kAlu, kAlu64) | kRsh, r, 0, 0, random_.one_of(26, 58, 60));
    }
  }

  void checked_index() {
    const unsigned index = reg(), base = saved();
    unknown(index);
    narrow(index);
    if (pick(3) == 0) narrow(index);
    if (pick(4) == 0)
      put(kAlu64 | random_.one_of(kAdd, kSub, kMul, kLsh, kXor), index, 0, 0,
          random_.one_of(1, 2, 3, 8));
    switch (pick(3)) {
      case 0:
        wide(base, kPseudoMapValue, random_.one_of(kBss, kBss, kRodata), 0);
        break;
      case 1:
        copy(base, 10);
        put(kAlu64 | kAdd, base, 0, 0, random_.one_of(-64, -72, -128, -8));
        break;
      default:
        copy(base, 6);
    }
    put(kAlu64 | kAdd | kX, base, index, 0, 0);
    touch(base, random_.one_of(0, 0, 0, 1, -1, 8));
  }

  void touch(unsigned base, int off) {
    const int bytes = size();
    switch (pick(4)) {
      case 0:
        return put(kStx | kMem | bytes, base, reg(), off, 0);
      case 1:
        return put(kSt | kMem | bytes, base, 0, off, random_.one_of(0, 1, 40));
      case 2:
        if (pick(3) == 0)
          return put(kStx | kAtomic | random_.one_of(kW, kDw), base, reg(), off,
                     random_.one_of(kAdd, kAdd | kFetch, kXchg, kCmpxchg, kOr | kFetch));
        [[fallthrough]];
      default:
        return put(kLdx | (bytes == kDw || pick(3) ? kMem : kMemsx) | bytes, reg(), base, off, 0);
    }
  }

  void counted_loop() {
    const unsigned counter = saved();
    mov(counter, random_.one_of(0, 0, 1, -4));
    const size_t head = out_.size();
    for (unsigned n = 1 + pick(3); n > 0; --n) plain();
    put(random_.one_of(kAlu64, kAlu64, kAlu) | kAdd, counter, 0, 0, random_.one_of(1, 1, 2, 3));
    back(random_.one_of(kJmp, kJmp, kJmp32) | random_.one_of(kJlt, kJne, kJslt, kJle), counter,
         random_.one_of(4, 7, 8, 30, 64), head);
  }

  void may_goto_loop() {
    const size_t head = out_.size();
    const size_t leave = jump(kJmp | kJcond, 0, 0, 0);
    for (unsigned n = 1 + pick(4); n > 0; --n) plain();
    back(kJmp | kJa, 0, 0, head);
    land(leave);
  }

  void iterator_loop() {
    const int at = -8 * static_cast<int>(1 + pick(6));
    const auto point = [&] {
      copy(1, 10);
      put(kAlu64 | kAdd, 1, 0, 0, at);
    };
    point();
    mov(2, random_.one_of(0, 0, -3, 5));
    mov(3, random_.one_of(1, 4, 10, 1000));
    if (pick(4) == 0) copy(random_.one_of(2, 3), saved());
    kfunc(kIterNew);
    const size_t head = out_.size();
    point();
    kfunc(kIterNext);
    const size_t drained = jump(kJmp | kJeq, 0, 0, 0);
    if (pick(2)) put(kLdx | kMem | kW, saved(), 0, 0, 0);
    for (unsigned n = pick(4); n > 0; --n) plain();
    back(kJmp | kJa, 0, 0, head);
    land(drained);
    point();
    kfunc(kIterDestroy);
  }

  void arguments() {
    for (unsigned r = 1; r <= 3; ++r) switch (pick(4)) {
        case 0:
          mov(r, static_cast<int>(pick(64)));
          break;
        case 1:
          copy(r, 10);
          put(kAlu64 | kAdd, r, 0, 0, -8 * static_cast<int>(1 + pick(6)));
          break;
        default:
          copy(r, saved());
      }
  }

  void use(Sub callee) { uses.push_back({out_.size(), callee}); }

  void call_static() {
    if (self_ == kStatic) return plain();
    arguments();
    use(kStatic);
    put(kJmp | kCall, 0, kPseudoCall, 0, 0);
  }

  void call_global() {
    if (self_ == kGlobal || self_ == kStatic) return plain();
    arguments();
    use(kGlobal);
    put(kJmp | kCall, 0, kPseudoCall, 0, 0);
  }

  void call_loop() {
    if (self_ == kCallback || self_ == kStatic) return plain();
    mov(1, static_cast<int>(pick(6)));
    if (pick(3) == 0) copy(1, saved());
    use(kCallback);
    wide(2, kPseudoFunc, 0, 0);
    mov(3, 0);
    if (pick(3)) {
      copy(3, 10);
      put(kAlu64 | kAdd, 3, 0, 0, -8 * static_cast<int>(1 + pick(6)));
    }
    mov(4, 0);
    call(BPF_FUNC_loop);
  }

  void lookup() {
    const int key = -4 * static_cast<int>(1 + pick(8));
    if (pick(2))
      put(kSt | kMem | kW, 10, 0, key, static_cast<int>(pick(6)));
    else
      put(kStx | kMem | kW, 10, reg(), key, 0);
    copy(2, 10);
    put(kAlu64 | kAdd, 2, 0, 0, key);
    wide(1, kPseudoMapFd, kArray, 0);
    call(BPF_FUNC_map_lookup_elem);
    if (pick(3) == 0) copy(saved(), 0);
    const size_t null = jump(kJmp | kJeq, 0, 0, 0);
    if (pick(6) == 0) out_.pop_back();
    if (pick(2)) {
      const unsigned index = scratch();
      if (index != 0) {
        unknown(index);
        narrow(index);
        put(kAlu64 | kAdd | kX, 0, index, 0, 0);
      }
    }
    touch(0, random_.one_of(0, 0, 4, 8));
    if (null < out_.size() && insn_op(out_[null].code) == kJeq) land(null);
  }

  void arena_access() {
    const unsigned r = saved();
    arena_pointer(r);
    if (pick(3) == 0) put(kAlu64 | random_.one_of(kAdd, kSub, kMul) | kX, r, reg(), 0, 0);
    touch(r, random_.one_of(0, 8, -8, 4096));
    if (pick(3) == 0) put(kAlu64 | kMov | kX, reg(), r, kAddrSpaceCastOff, kCastUser);
  }

  // What one branch teaches about copies of a number.
  void copies_and_branches() {
    const unsigned a = reg(), b = reg();
    unknown(a);
    put(random_.one_of(kAlu64, kAlu64, kAlu) | kMov | kX, b, a, random_.one_of(0, 0, 0, 8, 16, 32),
        0);
    for (unsigned n = 1 + pick(3); n > 0; --n) {
      loose_.push_back(out_.size());
      condition_on(random_.one_of(a, b));
    }
    wide(7, kPseudoMapValue, kBss, 0);
    put(kAlu64 | kAdd | kX, 7, random_.one_of(a, b), 0, 0);
    touch(7, 0);
  }

  void spill_and_fill() {
    const int at = -8 * static_cast<int>(1 + pick(4));
    const int bytes = random_.one_of(kDw, kDw, kW, kH);
    put(kStx | kMem | bytes, 10, reg(), at, 0);
    for (unsigned n = pick(3); n > 0; --n) plain();
    put(kLdx | kMem | random_.one_of(bytes, bytes, kW, kDw), reg(), 10, at, 0);
  }

  void section() {
    const bool rcu = pick(2);
    kfunc(rcu ? kRcuLock : kPreemptDisable);
    for (unsigned n = pick(3); n > 0; --n) plain();
    kfunc(rcu ? kRcuUnlock : kPreemptEnable);
  }

  void condition() {
    if (pick(4) == 0) return put(kJmp | kJcond, 0, 0, 0, 0);
    condition_on(reg());
  }

  void condition_on(unsigned r) {
    const int op =
        random_.one_of(kJeq, kJne, kJgt, kJge, kJlt, kJle, kJsgt, kJsge, kJslt, kJsle, kJset);
    const int cls = pick(3) ? kJmp : kJmp32;
    if (pick(3) == 0) return put(cls | op | kX, r, reg(), 0, 0);
    put(cls | op, r, 0, 0,
        random_.one_of(0, 1, 7, 8, 15, 56, 57, 63, 64, -1, 0x7fffffff,
                       static_cast<int>(0x80000000)));
  }

  void plain() {
    const int stack_off =
        -8 * static_cast<int>(1 + pick(4)) + (pick(4) ? 0 : random_.one_of(1, 2, 4));
    const int cls = pick(3) ? kAlu64 : kAlu;
    switch (pick(12)) {
      case 0:
        return put(kStx | kMem | size(), 10, reg(), stack_off, 0);
      case 1:
        return put(kLdx | kMem | size(), reg(), 10, stack_off, 0);
      case 2:
        return put(kSt | kMem | size(), 10, 0, stack_off, random_.one_of(0, 1, 40));
      case 3:
      case 4:
        return touch(static_cast<unsigned>(random_.one_of(6, 7, 7, 8, reg())),
                     random_.one_of(0, 0, 8, 16, -1));
      case 5:
        return copy(reg(), static_cast<unsigned>(random_.one_of(10, reg(), reg())));
      case 6:
        return put(cls | kMov, reg(), 0, 0, random_.one_of(0, 1, 8, 56, -8, 63));
      case 7:
        return put(cls | kAnd, reg(), 0, 0, random_.one_of(7, 8, 56, 63, -8));
      case 8:
        return put(kAlu64 | random_.one_of(kAdd, kAdd, kSub) | kX, reg(), reg(), 0, 0);
      default:
        return arithmetic(cls);
    }
  }

  void arithmetic(int cls) {
    const int op = random_.one_of(kAdd, kSub, kMul, kDiv, kOr, kAnd, kLsh, kRsh, kMod, kXor, kArsh,
                                  kMov, kNeg, kEnd);
    const bool divides = op == kDiv || op == kMod;
    if (op == kNeg) return put(cls | kNeg, reg(), 0, 0, 0);
    if (op == kEnd)
      return put(cls | kEnd | (cls == kAlu ? random_.one_of(0, kX) : 0), reg(), 0, 0,
                 random_.one_of(16, 32, 64));
    if (op == kMov && pick(2))
      return put(cls | kMov | kX, reg(), reg(), random_.one_of(8, 16, 32), 0);
    if (pick(2)) return put(cls | op | kX, reg(), reg(), divides ? random_.one_of(0, 1) : 0, 0);
    put(cls | op, reg(), 0, divides ? random_.one_of(0, 1) : 0, random_.one_of(1, 3, 8, 31, -1));
  }

  // Mostly forward and near.
  void aim(size_t at) {
    const bool backward = pick(6) == 0;
    const size_t room = backward ? at - start_ + 1 : out_.size() - at - 1;
    size_t to = backward ? start_ + pick(static_cast<unsigned>(room))
                         : at + 1 + pick(static_cast<unsigned>(std::min<size_t>(room, 12)));
    if (to > start_ && is_ld_imm64(out_[to - 1])) --to;
    out_[at].off = static_cast<int16_t>(static_cast<int64_t>(to) - static_cast<int64_t>(at) - 1);
  }

  Random& random_;
  std::vector<Insn>& out_;
  Sub self_;
  size_t start_;
  std::vector<size_t> loose_;  // jumps to be aimed
};

std::vector<Param> parameters(Random& random) {
  using Kind = Param::Kind;
  std::vector<Param> params(1 + random.pick(3));
  for (Param& param : params) {
    param.kind = static_cast<Kind>(random.one_of(Kind::scalar, Kind::scalar, Kind::arena,
                                                 Kind::memory, Kind::memory_or_null, Kind::ctx));
    if (param.kind == Kind::memory || param.kind == Kind::memory_or_null)
      param.size = 8 * (1 + random.pick(2));
  }
  return params;
}

// A function whose last call was repaired away is called from some other place.
bool call_again(Random& random, ProgramDef& program, size_t insn) {
  const auto callee = std::ranges::find(program.subprogs, insn, &Subprog::start);
  if (insn == 0 || callee == program.subprogs.end()) return false;
  const uint32_t main = program.subprogs[0].count;
  if (main < 3) return false;
  size_t at = random.below(main - 2);
  for (size_t n = 0; n < main - 2; ++n)
    if (program.insns[n] == Insn{.code = kJmp | kJa}) at = n;
  program.insns[at] = {kJmp | kCall, 0, kPseudoCall, 0, static_cast<int32_t>(insn - at - 1)};
  return true;
}

}  // namespace

void generate(Random& random, ProgramDef& program) {
  program.insns.clear();
  program.subprogs.clear();
  static constexpr const char* kNames[] = {"fuzz", "local", "global", "callback"};
  std::vector<Body::Use> uses;
  std::vector<Sub> wanted = {kMain};  // a function that nobody calls is not there
  uint32_t starts[kSubprogs] = {};
  for (size_t n = 0; n < wanted.size(); ++n) {
    const Sub self = wanted[n];
    const auto start = starts[self] = static_cast<uint32_t>(program.insns.size());
    Body body(random, program.insns, self);
    body.make(self == kMain ? 3 + random.pick(12) : 1 + random.pick(5));
    for (const Body::Use& use : body.uses)
      if (std::ranges::find(wanted, use.callee) == wanted.end()) wanted.push_back(use.callee);
    uses.insert(uses.end(), body.uses.begin(), body.uses.end());
    Subprog subprog{kNames[self],
                    start,
                    static_cast<uint32_t>(program.insns.size()) - start,
                    self == kMain || self == kGlobal,
                    self + 1,
                    {}};
    if (self == kGlobal) subprog.params = parameters(random);
    program.subprogs.push_back(std::move(subprog));
  }
  for (const auto& [at, callee] : uses)
    program.insns[at].imm = static_cast<int32_t>(starts[callee]) - static_cast<int32_t>(at) - 1;
}

void repair(Random& random, ProgramDef& program, size_t insn) {
  if (insn >= program.insns.size() || call_again(random, program, insn)) return;
  // What nothing leads to is reached again when what stands before it goes on.
  if (insn > 0 && random.one_in(2)) {
    const Insn& before = program.insns[insn - 1];
    if (before.code == (kJmp | kJa) || before.code == (kJmp | kExit)) insn--;
  }
  Insn& i = program.insns[insn];
  const bool control = insn_class(i.code) == kJmp || insn_class(i.code) == kJmp32;
  const bool leaves = control && insn_op(i.code) == kExit;
  const auto target = static_cast<uint8_t>(leaves ? 0 : i.dst % 10);
  if (is_ld_imm64(i) && insn + 1 < program.insns.size())
    program.insns[insn + 1] = {kAlu64 | kMov, target, 0, 0, 1};
  if (leaves) {
    if (insn > 0 && random.one_in(2)) program.insns[insn - 1] = {kAlu64 | kMov, 0, 0, 0, 0};
    return;
  }
  switch (random.pick(4)) {
    case 0:
      i = {kAlu64 | kMov, target, 0, 0, static_cast<int32_t>(random.pick(9)) * 8};
      break;
    case 1:
      i = {kAlu64 | kAnd, target, 0, 0, 56};
      break;
    case 2:
      i = {kAlu64 | kMov | kX, target, static_cast<uint8_t>(random.pick(11)), 0, 0};
      break;
    default:
      i = {kJmp | kJa, 0, 0, 0, 0};
  }
}

void mutate(Random& random, ProgramDef& program) {
  for (unsigned n = 1 + random.pick(3); n > 0 && !program.insns.empty(); --n) {
    Insn& i = program.insns[random.below(program.insns.size())];
    switch (random.pick(6)) {
      case 0:
        i.dst = static_cast<uint8_t>(random.pick(11));
        break;
      case 1:
        i.src = static_cast<uint8_t>(random.pick(11));
        break;
      case 2:
        i.off = static_cast<int16_t>(random.one_of(0, 1, -1, 8, -8, i.off + 1, i.off - 1));
        break;
      case 3:
        i.imm = random.one_of(0, 1, -1, 8, 63, 64, 0x7fffffff, i.imm + 1, i.imm - 1);
        break;
      case 4:
        i.code = static_cast<uint8_t>(i.code ^ (1u << random.pick(8)));
        break;
      default:
        i = program.insns[random.below(program.insns.size())];
    }
  }
}

}  // namespace uarena::fuzz
