// The compiler against the interpreter: random programs of arithmetic, stack accesses, forward
// jumps, subprograms and kfunc calls. Every program is valid by construction and ends; both
// executors must agree on a hash of all registers.
#include <Zydis/Zydis.h>
#include <gtest/gtest.h>

#include <random>

#include "jit/x86_64/compiler.h"
#include "tests/jit/exec/program_builder.h"
#include "tests/jit/exec/run_code.h"

namespace uarena::jit {
namespace {

uint64_t mix(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, RunContext* run) {
  // The run must arrive in the sixth argument every time.
  run->faults.fetch_add(1);
  return r1 ^ (r2 * 3) ^ (r3 * 5) ^ (r4 * 7) ^ (r5 * 11);
}
const FunctionDesc kMix{.name = "mix", .function = mix};

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  std::vector<Insn> program() {
    insns_.clear();
    const size_t subprogs = pick(3);
    std::vector<size_t> calls;  // to be directed at the subprograms
    body(&calls, subprogs > 0);
    std::vector<size_t> starts;
    for (size_t n = 0; n < subprogs; ++n) {
      starts.push_back(insns_.size());
      std::vector<size_t> none;
      body(&none, false);
    }
    for (const size_t at : calls) {
      const size_t start = starts[pick(starts.size())];
      insns_[at].imm = static_cast<int32_t>(start - at - 1);
    }
    return insns_;
  }

 private:
  uint64_t pick(uint64_t below) { return random_() % below; }
  uint8_t reg() { return static_cast<uint8_t>(pick(10)); }

  // Numbers near the borders are worth more than uniform ones.
  uint64_t interesting() {
    static constexpr uint64_t kValues[] = {
        0,   1,   2,          31,         32,         63,          64,         127,
        128, 255, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 1ULL << 63, ~0ULL};
    const uint64_t value = kValues[pick(std::size(kValues))];
    return pick(3) == 0 ? random_() : pick(4) == 0 ? 0 - value : value;
  }

  void emit(uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm) {
    insns_.push_back(make_insn(code, dst, src, off, imm));
  }

  void body(std::vector<size_t>* calls, bool may_call) {
    // Callee: R1-R5 are arguments, the others are its own to set.
    for (uint8_t n = 0; n <= 9; ++n) append_constant(&insns_, n, interesting());
    for (int16_t slot = 1; slot <= 8; ++slot) {
      emit(kStx | kMem | kDw, 10, reg(), static_cast<int16_t>(-8 * slot), 0);
    }
    const size_t length = 5 + pick(60);
    std::vector<size_t> jumps;
    std::vector<size_t> begins;  // where a step begins: what a jump may go to
    for (size_t n = 0; n < length; ++n) {
      begins.push_back(insns_.size());
      switch (pick(12)) {
        case 0:
          jumps.push_back(insns_.size());
          jump();
          break;
        case 1:
          if (may_call) {
            calls->push_back(insns_.size());
            emit(kJmp | kCall, 0, kPseudoCall, 0, 0);
            after_call();
          }
          break;
        case 2:
          emit(kJmp | kCall, 0, kPseudoKfuncCall, 0, 0);
          after_call();
          break;
        case 3:
        case 4:
          memory();
          break;
        default:
          arithmetic();
      }
    }
    begins.push_back(insns_.size());
    hash();
    for (const size_t at : jumps) {
      const auto after = std::ranges::upper_bound(begins, at);
      const size_t target =
          after[static_cast<std::ptrdiff_t>(pick(static_cast<uint64_t>(begins.end() - after)))];
      insns_[at].off = static_cast<int16_t>(target - at - 1);
    }
  }

  // R1-R5 are gone after a call.
  void after_call() {
    for (uint8_t n = 1; n <= 5; ++n) {
      emit(kAlu64 | kMov | kK, n, 0, 0, static_cast<int32_t>(interesting()));
    }
  }

  void arithmetic() {
    static constexpr uint8_t kOps[] = {kAdd, kSub, kMul, kDiv, kOr,  kAnd,  kLsh,
                                       kRsh, kNeg, kMod, kXor, kMov, kArsh, kEnd};
    const uint8_t cls = pick(2) == 0 ? kAlu : kAlu64;
    const uint8_t op = kOps[pick(std::size(kOps))];
    const uint8_t dst = reg();
    if (op == kNeg) return emit(cls | op, dst, 0, 0, 0);
    if (op == kEnd) {
      const uint8_t order = cls == kAlu && pick(2) == 0 ? kX : kK;
      return emit(static_cast<uint8_t>(cls | op | order), dst, 0, 0,
                  static_cast<int32_t>(16U << pick(3)));
    }
    const bool by_register = pick(2) == 0;
    int16_t off = 0;
    if (op == kDiv || op == kMod) off = static_cast<int16_t>(pick(2));
    if (op == kMov && by_register) {
      off = static_cast<int16_t>(8U << pick(4));
      if (off > (cls == kAlu ? 16 : 32)) off = 0;
    }
    if (by_register)
      emit(static_cast<uint8_t>(cls | op | kX), dst, reg(), off, 0);
    else
      emit(static_cast<uint8_t>(cls | op | kK), dst, 0, off, static_cast<int32_t>(interesting()));
  }

  void memory() {
    static constexpr uint8_t kSizes[] = {kB, kH, kW, kDw};
    const uint8_t size = kSizes[pick(4)];
    const auto bytes = static_cast<int16_t>(access_bytes(size));
    auto off = static_cast<int16_t>(-64 + static_cast<int16_t>(pick(64 / bytes)) * bytes);
    switch (pick(5)) {
      case 0:
        return emit(kLdx | kMem | size, reg(), 10, off, 0);
      case 1:
        return emit(static_cast<uint8_t>(kLdx | (size == kDw ? kMem : kMemsx) | size), reg(), 10,
                    off, 0);
      case 2:
        return emit(kSt | kMem | size, 10, 0, off, static_cast<int32_t>(interesting()));
      case 3:
        return atomic();
      default:
        return emit(kStx | kMem | size, 10, reg(), off, 0);
    }
  }

  void atomic() {
    static constexpr int32_t kOps[] = {kAdd,          kOr,          kAnd,          kXor,
                                       kAdd | kFetch, kOr | kFetch, kAnd | kFetch, kXor | kFetch,
                                       kXchg,         kCmpxchg,     kLoadAcq,      kStoreRel};
    const int32_t op = kOps[pick(std::size(kOps))];
    const uint8_t size = pick(2) == 0 ? kW : kDw;
    const auto off = static_cast<int16_t>(-64 + 8 * static_cast<int16_t>(pick(8)));
    if (op == kLoadAcq) return emit(kStx | kAtomic | size, reg(), 10, off, op);
    // The address in any register but the operand's and, since cmpxchg owns it, R0 at times.
    if (pick(2) == 0) return emit(kStx | kAtomic | size, 10, reg(), off, op);
    const uint8_t base = reg();
    uint8_t operand = reg();
    while (operand == base) operand = reg();
    if (op == kCmpxchg && base == 0) return;
    emit(kAlu64 | kMov | kX, base, 10, 0, 0);
    emit(kStx | kAtomic | size, base, operand, off, op);
    emit(kAlu64 | kMov | kK, base, 0, 0, 5);  // no stack address may reach the hash
  }

  void jump() {
    static constexpr uint8_t kOps[] = {kJeq,  kJgt, kJge, kJset, kJne,  kJsgt,
                                       kJsge, kJlt, kJle, kJslt, kJsle, kJa};
    const uint8_t op = kOps[pick(std::size(kOps))];
    if (op == kJa) return emit(kJmp | kJa, 0, 0, 0, 0);
    const uint8_t cls = pick(2) == 0 ? kJmp : kJmp32;
    if (pick(2) == 0)
      emit(static_cast<uint8_t>(cls | op | kX), reg(), reg(), 0, 0);
    else
      emit(static_cast<uint8_t>(cls | op | kK), reg(), 0, 0, static_cast<int32_t>(interesting()));
  }

  void hash() {
    for (uint8_t n = 1; n <= 9; ++n) {
      emit(kAlu64 | kMul | kK, 0, 0, 0, 31);
      emit(kAlu64 | kAdd | kX, 0, n, 0, 0);
    }
    for (int16_t slot = 1; slot <= 8; ++slot) {
      emit(kLdx | kMem | kDw, 1, 10, static_cast<int16_t>(-8 * slot), 0);
      emit(kAlu64 | kMul | kK, 0, 0, 0, 31);
      emit(kAlu64 | kAdd | kX, 0, 1, 0, 0);
    }
    emit(kJmp | kExit, 0, 0, 0, 0);
  }

  std::mt19937_64 random_;
  std::vector<Insn> insns_;
};

std::string listing(const std::vector<Insn>& insns) {
  std::string text;
  for (size_t n = 0; n < insns.size(); ++n) {
    text += fmt::format("{:4}: {}\n", n, disassemble(insns, n));
  }
  return text;
}

bool decodes(std::span<const std::byte> code) {
  for (size_t offset = 0; offset < code.size();) {
    ZydisDisassembledInstruction decoded;
    if (!ZYAN_SUCCESS(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, 0, code.data() + offset,
                                            code.size() - offset, &decoded))) {
      return false;
    }
    offset += decoded.info.length;
  }
  return true;
}

Outcome run_compiled(const x86_64::CompiledCode& code) {
  const auto block = (*ExecMemory::instance())->add(code.code);
  RunContext context;
  Outcome outcome;
  outcome.result = run_code(*block, &context);
  outcome.faults = context.faults.load();
  return outcome;
}

// Split, so that the parts run side by side.
class Differential : public testing::TestWithParam<uint64_t> {};

TEST_P(Differential, RandomProgramsAgree) {
  constexpr uint64_t kPrograms = 500;
  const uint64_t first = GetParam() * kPrograms;
  for (uint64_t seed = first; seed < first + kPrograms; ++seed) {
    const auto insns = Generator(seed).program();
    const auto make = [&] { return FixedProgramTestPeer::make(insns, nullptr, {&kMix}); };
    const Outcome expected = run_once(*executable(make(), Mode::interpret));
    for (const bool plain : {true, false}) {
      const x86_64::Features features{.bmi2 = plain && x86_64::Features::of_this_cpu().bmi2};
      const auto code = x86_64::compile(make(), features, plain ? 0 : x86_64::new_blinding_key());
      ASSERT_TRUE(code);
      ASSERT_TRUE(decodes(code->code)) << "seed " << seed;
      ASSERT_EQ(run_compiled(*code), expected) << "seed " << seed << "\n" << listing(insns);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Differential, testing::Range(uint64_t{0}, uint64_t{5}));

}  // namespace
}  // namespace uarena::jit
