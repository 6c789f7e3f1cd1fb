// Arena instructions on a real reservation, interpreted and compiled: every size, present and
// absent, with what rows K48-K51, K57 and K59-K61 say about the destination.
#include <gtest/gtest.h>

#include "tests/jit/exec/program_builder.h"
#include "tests/jit/exec/test_arena.h"

namespace uarena::jit {
namespace {

constexpr uint8_t kSizes[] = {kB, kH, kW, kDw};

class ArenaAccess : public testing::TestWithParam<Mode> {
 protected:
  // Runs `insn` with `base` = the low half of ptr, `operand` in `source`, R0 = comparand, and
  // returns the value of `result`.
  Outcome run(const Insn& insn, uint64_t ptr, uint8_t base, uint8_t source, uint64_t operand,
              uint8_t result, uint64_t comparand = 0x4444) {
    std::vector<Insn> insns;
    append_constant(&insns, 0, comparand);
    append_constant(&insns, source, operand);
    append_constant(&insns, base, static_cast<uint32_t>(ptr));
    insns.push_back(insn);
    insns.push_back(make_insn(kAlu64 | kMov | kX, 0, result, 0, 0));
    insns.push_back(make_insn(kJmp | kExit, 0, 0, 0, 0));
    const auto program =
        executable(FixedProgramTestPeer::make(std::move(insns), &arena_.view()), GetParam());
    return run_once(*program, {}, &arena_.view());
  }

  TestArena arena_;
};

struct Place {
  const char* what;
  uint64_t ptr;
  int16_t off;
  bool present;
};
constexpr Place kPlaces[] = {
    {"first byte", TestArena::kPresent, 0, true},
    {"unaligned", TestArena::kPresent + 4093, 0, true},
    {"by a negative offset", TestArena::kPresent + 100, -99, true},
    {"by the largest offset", TestArena::kPresent + 5 - 32767 + 40000, 32767 - 32768, true},
    {"hole in the file", TestArena::kBeyondFile + 8, 0, false},
    {"across the edge", TestArena::kPresentEnd, -1, false},
    {"unmapped", TestArena::kUnmapped, 0, false},
    {"lower guard", 0, -32768, false},
    {"upper guard", 0xffffffff, 32767, false},
};

TEST_P(ArenaAccess, LoadsOfEverySizeAndSign) {
  for (const Place& place : kPlaces) {
    for (const uint8_t size : kSizes) {
      for (const uint8_t mode : {kProbeMem32, kProbeMem32sx}) {
        if (mode == kProbeMem32sx && size == kDw) continue;
        const unsigned bytes = access_bytes(size);
        if (!place.present && place.off == -1 && bytes == 1) continue;  // just before the edge
        SCOPED_TRACE(fmt::format("{}, {} bytes, mode {:#x}", place.what, bytes, mode));
        // Destinations that share a register with the address and that need every prefix.
        for (const uint8_t dst : {0, 2, 6, 9}) {
          const Outcome got = run(make_insn(kLdx | mode | size, dst, 2, place.off, 0), place.ptr, 2,
                                  5, 0x5555555555555555, dst);
          uint64_t expected = 0;
          if (place.present) {
            expected = arena_.read(place.ptr + static_cast<uint64_t>(int64_t{place.off}), bytes);
            const unsigned rest = 64 - 8 * bytes;
            if (mode == kProbeMem32sx) {
              expected = static_cast<uint64_t>(static_cast<int64_t>(expected << rest) >> rest);
            }
          }
          EXPECT_EQ(got, (Outcome{expected, place.present ? 0U : 1U, false}));
        }
      }
    }
  }
}

TEST_P(ArenaAccess, StoresOfEverySize) {
  constexpr uint64_t kValue = 0xa1b2c3d4e5f60718;
  for (const Place& place : kPlaces) {
    for (const uint8_t size : kSizes) {
      for (const uint8_t cls : {kSt, kStx}) {
        for (const uint8_t source : {1, 3, 7}) {
          const unsigned bytes = access_bytes(size);
          if (!place.present && place.off == -1 && bytes == 1) continue;
          SCOPED_TRACE(fmt::format("{}, {} bytes, class {}", place.what, bytes, cls));
          arena_.reset();
          const uint64_t before = arena_.read(TestArena::kPresentEnd - 8, 8);
          const Outcome got = run(make_insn(cls | kProbeMem32 | size, 2, cls == kStx ? source : 0,
                                            place.off, static_cast<int32_t>(kValue)),
                                  place.ptr, 2, source, kValue, source);
          // The source register keeps its value, present or not.
          EXPECT_EQ(got, (Outcome{kValue, place.present ? 0U : 1U, false}));
          if (place.present) {
            const uint64_t stored =
                cls == kStx ? kValue : static_cast<uint64_t>(int64_t{static_cast<int32_t>(kValue)});
            const uint64_t mask = bytes == 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * bytes) - 1;
            EXPECT_EQ(arena_.read(place.ptr + static_cast<uint64_t>(int64_t{place.off}), bytes),
                      stored & mask);
          } else {
            EXPECT_EQ(arena_.read(TestArena::kPresentEnd - 8, 8), before);
          }
        }
      }
    }
  }
}

constexpr int32_t kAtomicOps[] = {kAdd,          kOr,          kAnd,          kXor,
                                  kAdd | kFetch, kOr | kFetch, kAnd | kFetch, kXor | kFetch,
                                  kXchg,         kCmpxchg,     kStoreRel};

uint64_t combined(int32_t operation, uint64_t old, uint64_t operand, uint64_t comparand) {
  switch (operation & ~kFetch) {
    case kAdd:
      return old + operand;
    case kOr:
      return old | operand;
    case kAnd:
      return old & operand;
    case kXor:
      return old ^ operand;
    case kCmpxchg & ~kFetch:
      return old == comparand ? operand : old;
    default:
      return operand;  // xchg, store_release
  }
}

TEST_P(ArenaAccess, AtomicsOnAPresentPage) {
  constexpr uint64_t kOperand = 0xf0f0f0f011223344;
  for (const int32_t operation : kAtomicOps) {
    for (const uint8_t size : {kW, kDw}) {
      for (const uint8_t source : {1, 3, 7}) {
        for (const bool equal : {false, true}) {
          SCOPED_TRACE(fmt::format("operation {:#x}, size {:#x}, r{}", operation, size, source));
          arena_.reset();
          const unsigned bytes = access_bytes(size);
          const uint64_t mask = bytes == 8 ? ~uint64_t{0} : 0xffffffff;
          const uint64_t old = arena_.read(TestArena::kPresent + 8, bytes);
          // With the upper half set: the 32-bit form must look at the low one only.
          const uint64_t comparand = (equal ? old : 7) | (~mask & 0xabcdef0000000000);
          const uint8_t result = operation == kCmpxchg ? 0 : source;
          const Outcome got = run(make_insn(kStx | kProbeAtomic | size, 2, source, 8, operation),
                                  TestArena::kPresent, 2, source, kOperand, result, comparand);
          const bool fetches = (operation & kFetch) != 0;
          EXPECT_EQ(got, (Outcome{fetches ? old : kOperand, 0, false}));
          EXPECT_EQ(arena_.read(TestArena::kPresent + 8, bytes),
                    combined(operation, old, kOperand & mask, comparand & mask) & mask);
        }
      }
    }
  }
}

// K51, as of 7.2: what is fetched is 0, everything else keeps its value.
TEST_P(ArenaAccess, AtomicsOnAnAbsentPage) {
  constexpr uint64_t kOperand = 0x11223344;
  constexpr uint64_t kComparand = 0x99887766;
  for (const Place& place : kPlaces) {
    if (place.present) continue;
    for (const int32_t operation : kAtomicOps) {
      for (const uint8_t size : {kW, kDw}) {
        SCOPED_TRACE(fmt::format("{}, operation {:#x}, size {:#x}", place.what, operation, size));
        const Insn insn = make_insn(kStx | kProbeAtomic | size, 2, 3, place.off, operation);
        const bool fetches = (operation & kFetch) != 0;
        const bool in_source = fetches && operation != kCmpxchg;
        EXPECT_EQ(run(insn, place.ptr, 2, 3, kOperand, 3, kComparand),
                  (Outcome{in_source ? 0 : kOperand, 1, false}));
        EXPECT_EQ(run(insn, place.ptr, 2, 3, kOperand, 0, kComparand),
                  (Outcome{operation == kCmpxchg ? 0 : kComparand, 1, false}));
        EXPECT_EQ(run(insn, place.ptr, 2, 3, kOperand, 2, kComparand),
                  (Outcome{static_cast<uint32_t>(place.ptr), 1, false}));
      }
    }
  }
}

TEST_P(ArenaAccess, FetchingLoopsWithR0AsAddressAndOperand) {
  for (const int32_t operation : {kOr | kFetch, kAnd | kFetch, kXor | kFetch}) {
    for (const uint8_t size : {kW, kDw}) {
      arena_.reset();
      const uint64_t old = arena_.read(TestArena::kPresent, access_bytes(size));
      // R0 is the operand and receives the old value.
      EXPECT_EQ(run(make_insn(kStx | kProbeAtomic | size, 2, 0, 0, operation), TestArena::kPresent,
                    2, 0, 0x3c3c, 0)
                    .result,
                old);
      EXPECT_EQ(arena_.read(TestArena::kPresent, 2), combined(operation, old, 0x3c3c, 0) & 0xffff);
      // R0 is the address and keeps it.
      EXPECT_EQ(run(make_insn(kStx | kProbeAtomic | size, 0, 4, 0, operation), TestArena::kPresent,
                    0, 4, 0x3c3c, 0)
                    .result,
                static_cast<uint32_t>(TestArena::kPresent));
      EXPECT_EQ(run(make_insn(kStx | kProbeAtomic | size, 0, 4, 0, operation), TestArena::kUnmapped,
                    0, 4, 0x3c3c, 4),
                (Outcome{0, 1, false}));
      EXPECT_EQ(run(make_insn(kStx | kProbeAtomic | size, 2, 0, 0, operation), TestArena::kUnmapped,
                    2, 0, 0x3c3c, 0),
                (Outcome{0, 1, false}));
    }
  }
}

TEST_P(ArenaAccess, AcquireLoadsOfEverySize) {
  for (const Place& place : kPlaces) {
    for (const uint8_t size : kSizes) {
      const unsigned bytes = access_bytes(size);
      if (!place.present && place.off == -1 && bytes == 1) continue;
      SCOPED_TRACE(fmt::format("{}, {} bytes", place.what, bytes));
      const uint64_t expected =
          place.present ? arena_.read(place.ptr + static_cast<uint64_t>(int64_t{place.off}), bytes)
                        : 0;
      EXPECT_EQ(run(make_insn(kStx | kProbeAtomic | size, 7, 2, place.off, kLoadAcq), place.ptr, 2,
                    7, 0x5555, 7),
                (Outcome{expected, place.present ? 0U : 1U, false}));
    }
  }
}

TEST_P(ArenaAccess, CastUser) {
  const Insn cast = make_insn(kAlu64 | kMov | kX, 6, 3, kAddrSpaceCastOff, kCastUser);
  const Insn in_place = make_insn(kAlu64 | kMov | kX, 3, 3, kAddrSpaceCastOff, kCastUser);
  for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{0xffffffff},
                               uint64_t{0x1234567800000000}, uint64_t{0x12345678000000ff}}) {
    const auto low = static_cast<uint32_t>(value);
    const uint64_t expected = low == 0 ? 0 : (TestArena::kUserVmStart & 0xffffffff00000000) | low;
    EXPECT_EQ(run(cast, 0, 2, 3, value, 6).result, expected);
    EXPECT_EQ(run(in_place, 0, 2, 3, value, 3).result, expected);
  }
}

// A subprogram inherits the arena base and the run context; faults in it count, too.
TEST_P(ArenaAccess, SubprogramsReachTheSameArena) {
  const auto text = fmt::format(
      "r1 = {:#x} ll\n"
      "call sub\n"
      "r6 = r0\n"
      "r1 = {:#x} ll\n"
      "call sub\n"
      "r0 += r6\n"
      "exit\n"
      "sub:\n"
      "raw {:#x} 0 1 4 0\n"
      "exit\n",
      static_cast<uint32_t>(TestArena::kPresent), static_cast<uint32_t>(TestArena::kUnmapped),
      kLdx | kProbeMem32 | kW);
  const auto program = executable(
      FixedProgramTestPeer::make(test::assemble_or_die(text), &arena_.view()), GetParam());
  EXPECT_EQ(run_once(*program, {}, &arena_.view()),
            (Outcome{arena_.read(TestArena::kPresent + 4, 4), 1, false}));
}

INSTANTIATE_TEST_SUITE_P(Executors, ArenaAccess, testing::Values(Mode::interpret, Mode::compile),
                         [](const auto& param) {
                           return param.param == Mode::compile ? "Compiler" : "Interpreter";
                         });

}  // namespace
}  // namespace uarena::jit
