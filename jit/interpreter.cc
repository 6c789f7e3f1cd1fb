// The reference executor. One Frame per call: eleven registers, 512 bytes of stack and its
// may_goto state. A run that ends in the middle (turns.h) returns through its frames, each of which
// looks at RunContext::ended after every call.
//
// Plain accesses go through memcpy and are trusted, because the verifier proved
// them; arena accesses go through fault_safe.h, because nobody can prove that a page stays.
#include "jit/interpreter.h"

#include <array>
#include <atomic>
#include <cstring>
#include <utility>

#include "jit/alu.h"
#include "jit/dump.h"
#include "jit/fault_reports.h"
#include "jit/fault_safe.h"
#include "jit/turns.h"

namespace uarena::jit {
namespace {

constexpr size_t kStackBytes = 512;
constexpr unsigned kMaxFrames = 8;

// The plain form of atomic_arena: stack and map values, present by the verifier's proof.
template <typename T>
void atomic_plain(T* address, int32_t operation, uint64_t* operand, uint64_t* expected) {
  std::atomic_ref<T> target(*address);
  const T value = static_cast<T>(*operand);
  T old = 0;
  switch (operation) {
    case kLoadAcq:
      *operand = target.load(std::memory_order_acquire);
      return;
    case kStoreRel:
      target.store(value, std::memory_order_release);
      return;
    case kXchg:
      *operand = target.exchange(value);
      return;
    case kCmpxchg:
      old = static_cast<T>(*expected);
      target.compare_exchange_strong(old, value);
      *expected = old;
      return;
    default:
      break;
  }
  if constexpr (sizeof(T) >= 4) {
    switch (operation & ~kFetch) {
      case kAdd:
        old = target.fetch_add(value);
        break;
      case kOr:
        old = target.fetch_or(value);
        break;
      case kAnd:
        old = target.fetch_and(value);
        break;
      case kXor:
        old = target.fetch_xor(value);
        break;
      default:
        UARENA_ASSERT(false, "atomic operation {:#x} does not exist", operation);
    }
  } else {
    UARENA_ASSERT(false, "atomic operation {:#x} on {} bytes", operation, sizeof(T));
  }
  if ((operation & kFetch) != 0) *operand = old;
}

class Frame {
 public:
  Frame(const FixedProgram& program, RunContext& run, InterpreterObserver* observer)
      : program_(program), insns_(program.insns()), run_(run), observer_(observer) {
    UARENA_ASSERT(run.frames < kMaxFrames, "program {}: more than {} frames", program.name(),
                  kMaxFrames);
    ++run.frames;
    if (observer_ != nullptr) observer_->entered(regs_, stack_);
    regs_[10] = reinterpret_cast<uint64_t>(stack_.data() + stack_.size());
  }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  ~Frame() {
    if (observer_ != nullptr) observer_->left();
    --run_.frames;
  }

  void set_argument(unsigned n, uint64_t value) { regs_[n] = value; }

  // Runs from instruction `pc` to this frame's exit.
  uint64_t execute(size_t pc) {
    while (true) {
      UARENA_ASSERT(pc < insns_.size(), "program {}: ran to instruction {} of {}", program_.name(),
                    pc, insns_.size());
      const Insn& insn = insns_[pc];
      if (observer_ != nullptr) observer_->before(pc, run_);
      if (program_.counts_at(pc) && --run_.turns_left == 0 && !renew_turns(pc, &run_)) return 0;
      switch (insn_class(insn.code)) {
        case kAlu:
          regs_[insn.dst] = arithmetic<uint32_t>(insn);
          break;
        case kAlu64:
          regs_[insn.dst] = arithmetic<uint64_t>(insn);
          break;
        case kLd:
          regs_[insn.dst] = static_cast<uint32_t>(insn.imm) |
                            uint64_t{static_cast<uint32_t>(insns_[pc + 1].imm)} << 32;
          ++pc;
          break;
        case kLdx:
          load(insn);
          break;
        case kSt:
          store(insn, static_cast<uint64_t>(int64_t{insn.imm}));
          break;
        case kStx:
          if (insn_mode(insn.code) == kAtomic || insn_mode(insn.code) == kProbeAtomic)
            atomic(insn);
          else
            store(insn, regs_[insn.src]);
          break;
        default:
          if (insn.code == (kJmp | kExit)) return regs_[0];
          pc = jump(insn, pc);
          if (run_.ended) return 0;
          continue;
      }
      ++pc;
    }
  }

 private:
  template <typename T>
  uint64_t arithmetic(const Insn& insn) const {
    const uint64_t dst = regs_[insn.dst];
    const uint64_t src =
        uses_register(insn.code) ? regs_[insn.src] : static_cast<uint64_t>(int64_t{insn.imm});
    switch (insn_op(insn.code)) {
      case kNeg:
        return static_cast<T>(T{0} - static_cast<T>(dst));
      case kEnd:
        return byte_order(dst, static_cast<unsigned>(insn.imm),
                          sizeof(T) == 8 || uses_register(insn.code));
      case kMov:
        if (is_addr_space_cast(insn)) return cast_user(src, program_.arena().user_vm_start);
        if (insn.off != 0) return static_cast<T>(sign_extend(src, static_cast<unsigned>(insn.off)));
        return static_cast<T>(src);
      default:
        return alu<T>(insn_op(insn.code), static_cast<T>(dst), static_cast<T>(src), insn.off == 1);
    }
  }

  std::byte* plain_address(uint8_t base, int16_t off) const {
    return reinterpret_cast<std::byte*>(regs_[base] + static_cast<uint64_t>(int64_t{off}));
  }

  void count_fault(const Insn& insn, uint8_t base) {
    run_.faults.fetch_add(1, std::memory_order_relaxed);
    if (run_.reports == nullptr) return;
    FaultReports::Access access;
    access.at = static_cast<uint32_t>(&insn - insns_.data());
    access.address = (program_.arena().user_vm_start & ~uint64_t{UINT32_MAX}) +
                     static_cast<uint32_t>(regs_[base]) + static_cast<uint64_t>(int64_t{insn.off});
    if (run_.reports->counted(access.at, access.address)) return;
    access.caller = run_.caller;
    for (const Frame* frame = this; frame->outer_ != nullptr; frame = frame->outer_)
      if (access.call_count < access.calls.size())
        access.calls[access.call_count++] = frame->called_at_;
    run_.reports->note(access);
  }

  void load(const Insn& insn) {
    const uint8_t mode = insn_mode(insn.code);
    const unsigned bytes = access_bytes(insn.code);
    uint64_t value = 0;
    if (mode == kProbeMem32 || mode == kProbeMem32sx) {
      if (!load_arena(program_.arena(), regs_[insn.src], insn.off, bytes, &value))
        count_fault(insn, insn.src);
    } else {
      std::memcpy(&value, plain_address(insn.src, insn.off), bytes);
    }
    if (mode == kMemsx || mode == kProbeMem32sx) value = sign_extend(value, bytes * 8);
    regs_[insn.dst] = value;
  }

  void store(const Insn& insn, uint64_t value) {
    const unsigned bytes = access_bytes(insn.code);
    if (insn_mode(insn.code) == kProbeMem32) {
      if (!store_arena(program_.arena(), regs_[insn.dst], insn.off, bytes, value))
        count_fault(insn, insn.dst);
    } else {
      std::memcpy(plain_address(insn.dst, insn.off), &value, bytes);
    }
  }

  // In a load_acquire src is the address and dst the destination; in all others dst is the
  // address and src the operand, and cmpxchg's comparand is R0.
  void atomic(const Insn& insn) {
    const bool loads = insn.imm == kLoadAcq;
    const uint8_t base = loads ? insn.src : insn.dst;
    uint64_t operand = loads ? 0 : regs_[insn.src];
    uint64_t expected = regs_[0];
    const unsigned bytes = access_bytes(insn.code);
    if (insn_mode(insn.code) == kProbeAtomic) {
      if (!atomic_arena(program_.arena(), regs_[base], insn.off, bytes, insn.imm, &operand,
                        &expected)) {
        count_fault(insn, base);
      }
    } else {
      atomic_present(plain_address(base, insn.off), bytes, insn.imm, &operand, &expected);
    }
    if (loads)
      regs_[insn.dst] = operand;
    else if (insn.imm == kCmpxchg)
      regs_[0] = expected;
    else if ((insn.imm & kFetch) != 0)
      regs_[insn.src] = operand;
  }

  static void atomic_present(std::byte* address, unsigned bytes, int32_t operation,
                             uint64_t* operand, uint64_t* expected) {
    switch (bytes) {
      case 1:
        return atomic_plain(reinterpret_cast<uint8_t*>(address), operation, operand, expected);
      case 2:
        return atomic_plain(reinterpret_cast<uint16_t*>(address), operation, operand, expected);
      case 4:
        return atomic_plain(reinterpret_cast<uint32_t*>(address), operation, operand, expected);
      default:
        return atomic_plain(reinterpret_cast<uint64_t*>(address), operation, operand, expected);
    }
  }

  // Classes JMP and JMP32; returns the next instruction.
  size_t jump(const Insn& insn, size_t pc) {
    const bool wide = insn_class(insn.code) == kJmp;
    const size_t next = pc + 1;
    switch (insn_op(insn.code)) {
      case kJa:
        return next + static_cast<size_t>(static_cast<int64_t>(wide ? insn.off : insn.imm));
      case kCall:
        call(insn, pc);
        return next;
      case kJcond:
        if (--may_goto_.count != 0 && --run_.turns_left != 0) return next;
        if (renew_may_goto(reinterpret_cast<uint64_t>(&may_goto_), &run_)) return next;
        if (run_.ended) run_.end(static_cast<uint32_t>(pc));
        if (run_.may_goto_at == RunContext::kNowhere) run_.may_goto_at = static_cast<uint32_t>(pc);
        return target(insn, next);
      default:
        break;
    }
    const uint64_t dst = regs_[insn.dst];
    const uint64_t src =
        uses_register(insn.code) ? regs_[insn.src] : static_cast<uint64_t>(int64_t{insn.imm});
    const bool taken = wide ? condition<uint64_t>(insn_op(insn.code), dst, src)
                            : condition<uint32_t>(insn_op(insn.code), static_cast<uint32_t>(dst),
                                                  static_cast<uint32_t>(src));
    return taken ? target(insn, next) : next;
  }

  static size_t target(const Insn& insn, size_t next) {
    return next + static_cast<size_t>(static_cast<int64_t>(insn.off));
  }

  void call_by_number(uint64_t number, size_t pc) {
    const auto& functions = program_.numbered_functions();
    if (number >= functions.size() || functions[number] == nullptr)
      return run_.end(static_cast<uint32_t>(pc));
    regs_[0] = functions[number](regs_[1], regs_[2], regs_[3], regs_[4], regs_[5], &run_);
    if (run_.ended) run_.end(static_cast<uint32_t>(pc));
  }

  void call(const Insn& insn, size_t pc) {
    if (is_call_by_number(insn)) return call_by_number(regs_[insn.dst], pc);
    if (is_pseudo_call(insn)) {
      Frame callee(program_, run_, observer_);
      callee.outer_ = this;
      callee.called_at_ = static_cast<uint32_t>(pc);
      for (unsigned n = 1; n <= 5; ++n) callee.set_argument(n, regs_[n]);
      regs_[0] = callee.execute(pc + 1 + static_cast<size_t>(static_cast<int64_t>(insn.imm)));
      return;
    }
    UARENA_ASSERT(is_kfunc_call(insn), "program {}: call with source {}", program_.name(),
                  unsigned{insn.src});
    const FunctionDesc* function = program_.functions()[static_cast<size_t>(insn.imm)];
    if (function->follows_pointers) run_.own_pointers = program_.own_pointers_at(pc);
    regs_[0] = function->function(regs_[1], regs_[2], regs_[3], regs_[4], regs_[5], &run_);
    if (run_.ended) run_.end(static_cast<uint32_t>(pc));
  }

  const FixedProgram& program_;
  const std::vector<Insn>& insns_;
  RunContext& run_;
  InterpreterObserver* observer_;
  const Frame* outer_ = nullptr;  // the frame that called, and where
  uint32_t called_at_ = 0;
  MayGoto may_goto_;
  std::array<uint64_t, 11> regs_ = {};
  alignas(8) std::array<std::byte, kStackBytes> stack_ = {};
};

class Interpreter final : public Executable {
 public:
  Interpreter(FixedProgram program, InterpreterObserver* observer)
      : Executable(std::move(program)), observer_(observer) {}

  uint64_t call_back(uint64_t callback, const CallbackArgs& args,
                     RunContext& context) const override {
    UARENA_ASSERT(
        callback < program().subprogs().size() && program().subprogs()[callback].is_callback,
        "program {}: callback {}", program().name(), callback);
    Frame frame(program(), context, observer_);
    for (unsigned n = 1; n <= 5; ++n) frame.set_argument(n, args[n - 1]);
    return frame.execute(program().subprogs()[callback].start);
  }
  size_t code_bytes() const override { return 0; }
  uint32_t insn_at(uint32_t place) const override { return place; }
  std::string dump_jited() const override { return {}; }

 private:
  uint64_t enter(void* ctx, RunContext& context) const override {
    Frame frame(program(), context, observer_);
    frame.set_argument(1, reinterpret_cast<uint64_t>(ctx));
    return frame.execute(0);
  }

  InterpreterObserver* observer_;
};

}  // namespace

std::unique_ptr<Executable> make_interpreter(FixedProgram program, InterpreterObserver* observer) {
  return std::make_unique<Interpreter>(std::move(program), observer);
}

}  // namespace uarena::jit
