// Soundness by experiment: random programs are verified, and those that are accepted are run by a
// checking executor that knows nothing of the verifier. It keeps a tag with every register and
// every byte of memory, and any access outside the stack, the map value or the context, any read of
// something uninitialised, any arithmetic the verifier should have refused, or any address in the
// result or in client-visible memory is a failure. Seeded; a failure prints the program.
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "jit/program.h"

namespace uarena::jit {
namespace {

using Random = std::mt19937_64;

constexpr uint64_t kMapBytes = 64;
constexpr uint64_t kStackBytes = 512;
constexpr uint64_t kStepLimit = 20'000;

enum class Tag : uint8_t { uninit, number, stack, map, ctx, map_ptr, arena };

struct Value {
  Tag tag = Tag::uninit;
  uint64_t bits = 0;   // numbers; pointers: offset
  unsigned frame = 0;  // stack pointers
  bool pointer() const { return tag >= Tag::stack && tag <= Tag::map_ptr; }
};

struct Cell {
  bool written = false;
  bool lost = false;  // of an address that was overwritten in part
  uint8_t byte = 0;
};

struct Stack {
  std::array<Cell, kStackBytes> cells;  // cells[512 + offset]
  std::map<int64_t, Value> pointers;    // by offset; whole ones
};

// One run of an accepted program; `error` says what the verifier should have prevented.
class Checker {
 public:
  Checker(const VerifiedProgram& program, Random& random) : program_(program), random_(random) {
    for (auto& b : map_) b = static_cast<uint8_t>(random_());
    ctx_.resize(program.ctx_size());
    for (auto& b : ctx_) b = static_cast<uint8_t>(random_() % 2 ? random_() : random_() % 3);
  }

  std::string run() {
    frames_.emplace_back();
    top().regs[1] = {Tag::ctx, 0, 0};
    top().regs[10] = {Tag::stack, 0, 0};
    for (steps_ = 0; steps_ < kStepLimit && !done_ && error_.empty(); ++steps_) step();
    if (done_ && error_.empty() && top().regs[0].pointer()) error_ = "returns an address";
    return error_;
  }

  bool finished() const { return done_; }

 private:
  struct Frame {
    std::array<Value, 11> regs;
    Stack stack;
    size_t back = 0;
  };
  Frame& top() { return frames_.back(); }
  void fail(const std::string& what) {
    if (error_.empty()) error_ = "insn " + std::to_string(at_) + ": " + what;
  }

  Value read(unsigned r) {
    const Value v = top().regs[r];
    if (v.tag == Tag::uninit) fail("reads R" + std::to_string(r) + " uninitialised");
    return v;
  }
  void write(unsigned r, Value v) {
    if (r == 10) fail("writes R10");
    top().regs[r] = v;
  }
  static Value number(uint64_t v) { return {Tag::number, v, 0}; }

  void step() {
    const auto& insns = program_.def().insns;
    if (at_ >= insns.size()) return fail("runs out of the program");
    if (!program_.facts()[at_].reached) return fail("reaches dead code");
    const Insn i = insns[at_];
    size_t next = at_ + 1;
    switch (insn_class(i.code)) {
      case kAlu:
      case kAlu64:
        alu(i);
        break;
      case kLd:
        constant(i, insns[at_ + 1]);
        next = at_ + 2;
        break;
      case kLdx:
        write(i.dst, load(read(i.src), i.off, access_bytes(i.code), insn_mode(i.code) == kMemsx));
        break;
      case kSt:
        store(read(i.dst), i.off, access_bytes(i.code),
              number(static_cast<uint64_t>(int64_t{i.imm})));
        break;
      case kStx:
        if (insn_mode(i.code) == kAtomic)
          atomic(i);
        else
          store(read(i.dst), i.off, access_bytes(i.code), read(i.src));
        break;
      default:
        next = jump(i);
    }
    if (!done_) at_ = next;
  }

  void alu(const Insn& i) {
    const bool wide = insn_class(i.code) == kAlu64;
    const uint8_t op = insn_op(i.code);
    if (op == kMov) {
      if (!uses_register(i.code)) {
        const auto v = static_cast<uint64_t>(int64_t{i.imm});
        return write(i.dst, number(wide ? v : static_cast<uint32_t>(v)));
      }
      Value v = read(i.src);
      if (is_addr_space_cast(i)) {
        if (v.pointer()) fail("casts an address");
        return write(i.dst, {i.imm == kCastKern ? Tag::arena : Tag::number,
                             static_cast<uint32_t>(v.bits), 0});
      }
      if (wide && i.off == 0) return write(i.dst, v);
      if (v.pointer()) fail("takes a part of an address");
      if (i.off == 8) v.bits = static_cast<uint64_t>(static_cast<int8_t>(v.bits));
      if (i.off == 16) v.bits = static_cast<uint64_t>(static_cast<int16_t>(v.bits));
      if (i.off == 32) v.bits = static_cast<uint64_t>(static_cast<int32_t>(v.bits));
      return write(i.dst, number(wide ? v.bits : static_cast<uint32_t>(v.bits)));
    }
    const Value a = read(i.dst);
    Value b = number(static_cast<uint64_t>(int64_t{i.imm}));
    if (uses_register(i.code)) b = read(i.src);
    if (wide && op == kSub && a.tag == Tag::stack && b.tag == Tag::stack)
      return write(i.dst, number(a.bits - b.bits - uint64_t{512} * (a.frame - b.frame)));
    if (a.pointer() || b.pointer()) {
      const bool moves = wide && (op == kAdd || (op == kSub && a.pointer())) &&
                         (a.tag == Tag::number || b.tag == Tag::number);
      if (!moves) return fail("computes with an address");
      Value v = a.pointer() ? a : b;
      v.bits = op == kAdd ? a.bits + b.bits : a.bits - b.bits;
      return write(i.dst, v);
    }
    const bool arena = op != kNeg && (a.tag == Tag::arena || b.tag == Tag::arena);
    if (wide && arena != program_.facts()[at_].arena_alu) fail("arena_alu is wrong");
    const uint64_t v = wide && !arena
                           ? compute<uint64_t>(op, i.off == 1, a.bits, b.bits)
                           : compute<uint32_t>(op, i.off == 1, static_cast<uint32_t>(a.bits),
                                               static_cast<uint32_t>(b.bits));
    write(i.dst, {arena ? Tag::arena : Tag::number, v, 0});
  }

  template <typename U>
  static U compute(uint8_t op, bool is_signed, U a, U b) {
    using S = std::make_signed_t<U>;
    const unsigned by = static_cast<unsigned>(b % (sizeof(U) * 8));
    const S sa = static_cast<S>(a), sb = static_cast<S>(b);
    switch (op) {
      case kAdd:
        return a + b;
      case kSub:
        return a - b;
      case kMul:
        return a * b;
      case kDiv:
        if (is_signed) return sb == 0 ? 0 : sb == -1 ? U{0} - a : static_cast<U>(sa / sb);
        return b == 0 ? 0 : a / b;
      case kMod:
        if (is_signed) return sb == 0 ? a : sb == -1 ? 0 : static_cast<U>(sa % sb);
        return b == 0 ? a : a % b;
      case kOr:
        return a | b;
      case kAnd:
        return a & b;
      case kXor:
        return a ^ b;
      case kLsh:
        return a << by;
      case kRsh:
        return a >> by;
      case kArsh:
        return static_cast<U>(sa >> by);
      default:
        return U{0} - a;
    }
  }

  void constant(const Insn& i, const Insn& second) {
    const auto low = static_cast<uint32_t>(i.imm);
    const auto high = static_cast<uint32_t>(second.imm);
    if (i.src == kPseudoMapFd) return write(i.dst, {Tag::map_ptr, 0, 0});
    if (i.src == 0) return write(i.dst, number(uint64_t{high} << 32 | low));
    if (low == 1) return write(i.dst, {Tag::map, high, 0});
    write(i.dst, number(0x7e9000000000 + high));
  }

  uint8_t* bytes_at(const Value& base, int64_t off, unsigned bytes) {
    auto& memory = base.tag == Tag::map ? map_ : ctx_;
    const auto start = static_cast<int64_t>(base.bits) + off;
    if (start < 0 || start + bytes > static_cast<int64_t>(memory.size())) {
      fail("accesses a map value or the context out of bounds");
      return nullptr;
    }
    return memory.data() + start;
  }

  // Offset from the frame pointer, or nothing when out of the frame.
  std::optional<int64_t> stack_at(const Value& base, int64_t off, unsigned bytes) {
    const auto start = static_cast<int64_t>(base.bits) + off;
    if (base.frame >= frames_.size()) fail("uses a frame that is gone");
    const auto depth = static_cast<int64_t>(stack_bytes(base.frame));
    if (start < -depth || start + bytes > 0) fail("accesses the stack out of bounds");
    if (!error_.empty()) return std::nullopt;
    return start;
  }

  uint32_t stack_bytes(unsigned frame) const {
    return frame < frames_.size() ? program_.stack_bytes()[frame == 0 ? 0 : 1] : 0;
  }

  Value load(const Value& base, int64_t off, unsigned bytes, bool is_signed) {
    uint64_t v = 0;
    switch (base.tag) {
      case Tag::arena:
        v = random_() % 3 == 0 ? random_() : random_() % 70;
        break;
      case Tag::map:
      case Tag::ctx: {
        const uint8_t* from = bytes_at(base, off, bytes);
        if (from == nullptr) return {};
        for (unsigned n = 0; n < bytes; ++n) v |= uint64_t{from[n]} << (8 * n);
        break;
      }
      case Tag::stack: {
        const auto start = stack_at(base, off, bytes);
        if (!start) return {};
        Stack& stack = frames_[base.frame].stack;
        for (const auto& [offset, pointer] : stack.pointers) {
          if (offset == *start && bytes == 8) return pointer;
          if (offset < *start + bytes && *start < offset + 8 && pointer.pointer())
            fail("reads a part of an address");
        }
        for (unsigned n = 0; n < bytes; ++n) {
          const Cell& cell = stack.cells[static_cast<size_t>(512 + *start + n)];
          if (cell.lost) fail("reads a part of an address");
          if (!cell.written && !program_.zeroed_stack()[base.frame == 0 ? 0 : 1])
            fail("reads uninitialised stack of a frame that is not zeroed");
          v |= uint64_t{cell.byte} << (8 * n);
        }
        break;
      }
      default:
        fail("loads through something that is no pointer");
    }
    if (bytes < 8) v &= (uint64_t{1} << (bytes * 8)) - 1;
    if (is_signed && bytes < 8 && (v >> (bytes * 8 - 1)) != 0) v |= ~uint64_t{0} << (bytes * 8);
    return number(v);
  }

  void store(const Value& base, int64_t off, unsigned bytes, const Value& value) {
    if (base.tag == Tag::stack) {
      const auto start = stack_at(base, off, bytes);
      if (!start) return;
      if (value.tag == Tag::stack && value.frame > base.frame)
        fail("leaves a pointer to its frame");
      Stack& stack = frames_[base.frame].stack;
      std::erase_if(stack.pointers, [&](const auto& entry) {
        if (entry.first >= *start + bytes || *start >= entry.first + 8) return false;
        for (int n = 0; n < 8 && entry.second.pointer(); ++n)
          stack.cells[static_cast<size_t>(512 + entry.first + n)].lost = true;
        return true;
      });
      if (bytes != 8 && value.pointer()) fail("stores a part of an address");
      if (bytes == 8 && (value.pointer() || value.tag == Tag::arena))
        stack.pointers[*start] = value;
      for (unsigned n = 0; n < bytes; ++n)
        stack.cells[static_cast<size_t>(512 + *start + n)] = {
            true, false, static_cast<uint8_t>(value.bits >> (8 * n))};
      return;
    }
    if (value.pointer()) fail("stores an address outside the stack");
    if (base.tag == Tag::arena) return;
    if (base.tag != Tag::map && base.tag != Tag::ctx)
      return fail("stores through something that is no pointer");
    uint8_t* to = bytes_at(base, off, bytes);
    for (unsigned n = 0; to != nullptr && n < bytes; ++n)
      to[n] = static_cast<uint8_t>(value.bits >> (8 * n));
  }

  void atomic(const Insn& i) {  // the generator makes only adding ones
    const Value add = read(i.src);
    if (add.pointer()) fail("adds an address");
    const Value old = load(read(i.dst), i.off, access_bytes(i.code), false);
    if (old.pointer()) fail("adds to an address");
    store(read(i.dst), i.off, access_bytes(i.code), number(old.bits + add.bits));
    if ((i.imm & kFetch) != 0) write(i.src, number(old.bits));
  }

  size_t jump(const Insn& i) {
    const auto taken = static_cast<size_t>(static_cast<int64_t>(at_) + 1 + i.off);
    switch (insn_op(i.code)) {
      case kJa:
        return taken;
      case kJcond:
        return random_() % 6 == 0 ? taken : at_ + 1;
      case kExit:
        return leave();
      case kCall:
        return call(i);
      default:
        return holds(i) ? taken : at_ + 1;
    }
  }

  size_t leave() {
    const Value result = top().regs[0];
    if (frames_.size() == 1) {
      read(0);
      done_ = true;
      return at_;
    }
    if (result.tag == Tag::stack && result.frame + 1 == frames_.size()) fail("returns its frame");
    const size_t back = top().back;
    frames_.pop_back();
    top().regs[0] = result;
    return back;
  }

  size_t call(const Insn& i) {
    Frame frame;
    frame.back = at_ + 1;
    for (unsigned r = 1; r <= 5; ++r) frame.regs[r] = top().regs[r];
    for (unsigned r = 0; r <= 5; ++r) top().regs[r] = {};
    frame.regs[10] = {Tag::stack, 0, static_cast<unsigned>(frames_.size())};
    frames_.push_back(std::move(frame));
    return static_cast<size_t>(static_cast<int64_t>(at_) + 1 + i.imm);
  }

  bool holds(const Insn& i) {
    Value a = read(i.dst);
    Value b = number(static_cast<uint64_t>(int64_t{i.imm}));
    if (uses_register(i.code)) b = read(i.src);
    if (a.pointer() || b.pointer()) {
      if (!(a.pointer() && b.pointer()) && b.bits == 0 && b.tag == Tag::number)
        return insn_op(i.code) == kJne;
      if (a.tag != b.tag || a.frame != b.frame) fail("compares an address");
      a.bits += uint64_t{1} << 40;  // some base
      b.bits += uint64_t{1} << 40;
    }
    if (insn_class(i.code) == kJmp32)
      return compare<uint32_t>(insn_op(i.code), static_cast<uint32_t>(a.bits),
                               static_cast<uint32_t>(b.bits));
    return compare<uint64_t>(insn_op(i.code), a.bits, b.bits);
  }

  template <typename U>
  static bool compare(uint8_t op, U a, U b) {
    using S = std::make_signed_t<U>;
    const S sa = static_cast<S>(a), sb = static_cast<S>(b);
    switch (op) {
      case kJeq:
        return a == b;
      case kJne:
        return a != b;
      case kJgt:
        return a > b;
      case kJge:
        return a >= b;
      case kJlt:
        return a < b;
      case kJle:
        return a <= b;
      case kJsgt:
        return sa > sb;
      case kJsge:
        return sa >= sb;
      case kJslt:
        return sa < sb;
      case kJsle:
        return sa <= sb;
      default:
        return (a & b) != 0;
    }
  }

  const VerifiedProgram& program_;
  Random& random_;
  std::vector<Frame> frames_;
  std::vector<uint8_t> map_ = std::vector<uint8_t>(kMapBytes);
  std::vector<uint8_t> ctx_;
  size_t at_ = 0;
  uint64_t steps_ = 0;
  bool done_ = false;
  std::string error_;
};

// Puts something harmless in the place of what was rejected, so that many programs end up just
// inside the border between accepted and rejected.
void repair(Random& random, ProgramDef& program, size_t insn) {
  Insn& i = program.insns[insn];
  const bool control = insn_class(i.code) == kJmp || insn_class(i.code) == kJmp32;
  const auto target = static_cast<uint8_t>(control && insn_op(i.code) == kExit ? 0 : i.dst % 10);
  if (is_ld_imm64(i)) program.insns[insn + 1] = {kAlu64 | kMov, target, 0, 0, 1};
  if (control && insn_op(i.code) == kExit && insn > 0 && random() % 2 == 0) {
    program.insns[insn - 1] = {kAlu64 | kMov, 0, 0, 0, 7};
    return;
  }
  if (control && insn_op(i.code) == kExit) return;
  const unsigned choice = random() % 4;
  if (choice == 0)
    i = {kAlu64 | kMov, target, 0, 0, static_cast<int32_t>(random() % 9) * 8};
  else if (choice == 1)
    i = {kAlu64 | kAnd, target, 0, 0, 56};
  else if (choice == 2)
    i = {kAlu64 | kMov | kX, target, static_cast<uint8_t>(random() % 11), 0, 0};
  else
    i = {kJmp | kJa, 0, 0, 0, 0};
}

// Random programs, biased to what is nearly right: indices that are checked or masked, spills,
// loops with may_goto, a subprogram that gets pointers.
class Generator {
 public:
  explicit Generator(Random& random) : random_(random) {}

  ProgramDef make() {
    ProgramDef program;
    program.name = "fuzz";
    program.section = "syscall";
    body(program, 6 + pick(26), true);
    const auto first = static_cast<uint32_t>(program.insns.size());
    for (const size_t at : calls_) program.insns[at].imm = static_cast<int32_t>(first - at - 1);
    body(program, 3 + pick(10), false);
    program.subprogs = {
        {"fuzz", 0, first, false, 0},
        {"sub", first, static_cast<uint32_t>(program.insns.size() - first), false, 0}};
    return program;
  }

 private:
  unsigned pick(unsigned n) { return static_cast<unsigned>(random_() % n); }
  template <typename... T>
  int one_of(T... values) {
    const int all[] = {static_cast<int>(values)...};
    return all[pick(sizeof...(values))];
  }
  unsigned reg() { return pick(10); }

  static Insn insn(int code, unsigned dst, unsigned src, int off, int imm) {
    Insn i;
    i.code = static_cast<uint8_t>(code);
    i.dst = static_cast<uint8_t>(dst & 15);
    i.src = static_cast<uint8_t>(src & 15);
    i.off = static_cast<int16_t>(off);
    i.imm = imm;
    return i;
  }

  void body(ProgramDef& program, unsigned length, bool may_call) {
    auto& out = program.insns;
    const size_t start = out.size();
    if (pick(2)) out.push_back(insn(kAlu64 | kMov, 0, 0, 0, 0));
    if (pick(2)) out.push_back(insn(kLdx | kMem | kDw, 2, 1, 8 * static_cast<int>(pick(3)), 0));
    if (pick(2)) add_constant(out, 6, kPseudoMapValue, 1, 8 * pick(8));
    if (pick(3) == 0) {
      add_constant(out, 7, kPseudoMapValue, 0, 8 * pick(8));
      out.push_back(insn(kAlu64 | kMov | kX, 7, 7, kAddrSpaceCastOff, kCastKern));
    }
    std::vector<size_t> jumps;
    for (unsigned n = 0; n < length; ++n) {
      if (may_call && pick(25) == 0) {
        calls_.push_back(out.size());
        out.push_back(insn(kJmp | kCall, 0, kPseudoCall, 0, 0));
      } else if (pick(5) == 0) {
        jumps.push_back(out.size());
        out.push_back(condition());
      } else {
        add_plain(out);
      }
    }
    if (pick(4) != 0) out.push_back(insn(kAlu64 | kMov, 0, 0, 0, 1));
    out.push_back(insn(kJmp | kExit, 0, 0, 0, 0));
    for (const size_t at : jumps) aim(out, start, at);
  }

  // Mostly forward; back edges mostly from may_goto loops.
  void aim(std::vector<Insn>& out, size_t start, size_t at) {
    const bool back = pick(4) == 0;
    const size_t room = back ? at - start + 1 : out.size() - at - 1;
    size_t to = back ? start + pick(static_cast<unsigned>(room))
                     : at + 1 + pick(static_cast<unsigned>(std::min<size_t>(room, 8)));
    if (to > start && is_ld_imm64(out[to - 1])) --to;
    out[at].off = static_cast<int16_t>(static_cast<int64_t>(to) - static_cast<int64_t>(at) - 1);
  }

  Insn condition() {
    if (pick(3) == 0) return insn(kJmp | kJcond, 0, 0, 0, 0);
    const int op = one_of(kJeq, kJne, kJgt, kJge, kJlt, kJle, kJsgt, kJsge, kJslt, kJsle, kJset);
    const int cls = pick(3) ? kJmp : kJmp32;
    if (pick(3) == 0) return insn(cls | op | kX, reg(), reg(), 0, 0);
    return insn(cls | op, reg(), 0, 0, one_of(0, 1, 7, 8, 15, 56, 57, 63, 64, -1));
  }

  void add_constant(std::vector<Insn>& out, unsigned dst, unsigned kind, int low, unsigned high) {
    out.push_back(insn(kLd | kImm | kDw, dst, kind, 0, low));
    out.push_back(insn(0, 0, 0, 0, static_cast<int>(high)));
  }

  void add_plain(std::vector<Insn>& out) {
    const int size = one_of(kB, kH, kW, kDw, kDw, kDw);
    const int stack_off = -8 * static_cast<int>(1 + pick(4)) + (pick(4) ? 0 : one_of(1, 2, 4));
    const int cls = pick(3) ? kAlu64 : kAlu;
    switch (pick(14)) {
      case 0:
      case 1:
        return out.push_back(insn(kStx | kMem | size, 10, reg(), stack_off, 0));
      case 2:
      case 3:
        return out.push_back(insn(kLdx | kMem | size, reg(), 10, stack_off, 0));
      case 4:
        return out.push_back(insn(kSt | kMem | size, 10, 0, stack_off, one_of(0, 1, 40)));
      case 5:
      case 6:
        return out.push_back(insn(kLdx | (pick(3) || size == kDw ? kMem : kMemsx) | size, reg(),
                                  one_of(1, 6, 6, 7, reg()), one_of(0, 0, 8, 16, -1), 0));
      case 7:
        return out.push_back(
            insn(kStx | kMem | size, one_of(1, 6, 6, 7, reg()), reg(), one_of(0, 0, 8, -8), 0));
      case 8:
        return out.push_back(insn(kAlu64 | kMov | kX, reg(), one_of(10, reg(), reg()), 0, 0));
      case 9:
        return out.push_back(insn(cls | kMov, reg(), 0, 0, one_of(0, 1, 8, 56, -8, 63)));
      case 10:
        return out.push_back(insn(cls | kAnd, reg(), 0, 0, one_of(7, 8, 56, 63, -8)));
      case 11:
        return out.push_back(insn(kAlu64 | one_of(kAdd, kAdd, kSub) | kX, reg(), reg(), 0, 0));
      case 12:
        if (pick(3) == 0)
          return out.push_back(insn(kStx | kAtomic | one_of(kW, kDw), one_of(6, 7, 10, reg()),
                                    reg(), one_of(0, 8, -8, -16), kAdd | one_of(0, kFetch)));
        return add_constant(out, one_of(6, reg()), kPseudoMapValue, 1, 8 * pick(8));
      default:
        return add_arithmetic(out, cls);
    }
  }

  void add_arithmetic(std::vector<Insn>& out, int cls) {
    const int op = one_of(kAdd, kSub, kMul, kDiv, kOr, kAnd, kLsh, kRsh, kMod, kXor, kArsh, kMov);
    const bool divides = op == kDiv || op == kMod;
    if (pick(2))
      return out.push_back(insn(cls | op | kX, reg(), reg(), divides ? one_of(0, 1) : 0, 0));
    if (op == kMov)
      return out.push_back(insn(kAlu64 | kMov | kX, reg(), reg(), one_of(8, 16, 32), 0));
    out.push_back(insn(cls | op, reg(), 0, divides ? one_of(0, 1) : 0, one_of(1, 3, 8, 31)));
  }

  Random& random_;
  std::vector<size_t> calls_;
};

std::string listing(const ProgramDef& program) {
  std::string text;
  for (size_t n = 0; n < program.insns.size(); ++n)
    text += std::to_string(n) + ": " + disassemble(program.insns, n) + "\n";
  return text;
}

class VerifierFuzz : public testing::TestWithParam<unsigned> {};

TEST_P(VerifierFuzz, AcceptedProgramsStayInBounds) {
  Random random(GetParam());
  Object object;
  MapDef arena, bss;
  arena.name = "arena";
  arena.kind = MapKind::arena;
  bss.name = ".bss";
  bss.kind = MapKind::bss;
  bss.value_size = kMapBytes;
  bss.max_entries = 1;
  object.maps = {arena, bss};
  object.programs.resize(1);
  const CallTable none;
  unsigned accepted = 0, finished = 0;
  for (int n = 0; n < 150; ++n) {
    object.programs[0] = Generator(random).make();
    const VerifierInput input{&object, 0, &none, 0x7e9000000000, 1 << 20, 0, 3000};
    auto verified = verify(input);
    for (int repairs = 0; !verified && repairs < 60; ++repairs) {
      repair(random, object.programs[0], verified.error().insn);
      verified = verify(input);
    }
    if (!verified) continue;
    ++accepted;
    for (int run = 0; run < 4; ++run) {
      Checker checker(*verified, random);
      const std::string error = checker.run();
      ASSERT_EQ(error, "") << listing(object.programs[0]);
      finished += checker.finished();
    }
  }
  RecordProperty("accepted", static_cast<int>(accepted));
  EXPECT_GT(accepted, 60u);
  EXPECT_GT(finished, 100u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, VerifierFuzz, testing::Range(1u, 9u));

}  // namespace
}  // namespace uarena::jit
