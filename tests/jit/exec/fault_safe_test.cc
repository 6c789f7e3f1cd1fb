// Fault-safe access: what is present is read and written exactly; what is absent (hole in the file,
// unmapped, guard) answers as rows K48-K51 say; and a fault that is not the arena's is not hidden.
#include "jit/fault_safe.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <csignal>
#include <thread>
#include <vector>

#include "jit/isa.h"
#include "tests/jit/exec/test_arena.h"

namespace uarena::jit {
namespace {

constexpr unsigned kWidths[] = {1, 2, 4, 8};

uint64_t mask(unsigned bytes) { return bytes == 8 ? ~uint64_t{0} : (uint64_t{1} << bytes * 8) - 1; }

// Every way in which a byte can be absent; the offset is part of the address (K48).
struct Absent {
  const char* what;
  uint64_t ptr;
  int32_t off;
};
constexpr Absent kAbsent[] = {
    {"beyond the file", TestArena::kBeyondFile, 0},
    {"beyond the file by offset", TestArena::kBeyondFile - 64, 64},
    {"unmapped", TestArena::kUnmapped, 0},
    {"address 0", 0, 0},
    {"last byte", 0xffffffff, 0},
    {"lower guard", 0, -1},
    {"lowest guard byte", 0, -32768},
    {"upper guard", 0xffffffff, 1},
    {"highest guard byte", 0xffffffff, 32767},
};

TEST(FaultSafe, LoadsAndStoresOfEveryWidth) {
  const TestArena arena;
  for (const unsigned bytes : kWidths) {
    uint64_t value = 0;
    EXPECT_TRUE(load_arena(arena.view(), TestArena::kPresent + 3, 0, bytes, &value));
    EXPECT_EQ(value, arena.read(TestArena::kPresent + 3, bytes));
    const uint64_t before = arena.read(TestArena::kPresent + 16, 8);
    EXPECT_TRUE(store_arena(arena.view(), TestArena::kPresent, 16, bytes, 0x1122334455667788ULL));
    EXPECT_EQ(arena.read(TestArena::kPresent + 16, 8),
              (before & ~mask(bytes)) | (0x1122334455667788ULL & mask(bytes)));
  }
}

TEST(FaultSafe, OnlyTheLowHalfOfAPointerCounts) {
  const TestArena arena;
  uint64_t value = 0;
  EXPECT_TRUE(
      load_arena(arena.view(), TestArena::kPresent | (uint64_t{0xdead} << 48), 0, 4, &value));
  EXPECT_EQ(value, arena.read(TestArena::kPresent, 4));
  EXPECT_TRUE(load_arena(arena.view(), TestArena::kPresent + 8, -8, 4, &value));
  EXPECT_EQ(value, arena.read(TestArena::kPresent, 4));
}

TEST(FaultSafe, AbsentLoadsGiveZeroAndStoresAreDropped) {
  const TestArena arena;
  for (const Absent& absent : kAbsent) {
    SCOPED_TRACE(absent.what);
    for (const unsigned bytes : kWidths) {
      uint64_t value = 0x5555;
      EXPECT_FALSE(load_arena(arena.view(), absent.ptr, absent.off, bytes, &value));
      EXPECT_EQ(value, 0U);
      EXPECT_FALSE(store_arena(arena.view(), absent.ptr, absent.off, bytes, 0x77));
    }
  }
}

TEST(FaultSafe, AnAccessAcrossTheEdgeMovesNothing) {
  const TestArena arena;
  const uint64_t before = arena.read(TestArena::kPresentEnd - 8, 8);
  uint64_t value = 1;
  EXPECT_FALSE(load_arena(arena.view(), TestArena::kPresentEnd - 4, 0, 8, &value));
  EXPECT_EQ(value, 0U);
  EXPECT_FALSE(store_arena(arena.view(), TestArena::kPresentEnd - 4, 0, 8, 0));
  EXPECT_EQ(arena.read(TestArena::kPresentEnd - 8, 8), before);
}

struct AtomicCase {
  const char* what;
  int32_t operation;
  uint64_t operand, expected;                      // before
  uint64_t memory, operand_after, expected_after;  // after, with memory 0xf0f0f0f0f0f0f0f0 before
};
constexpr uint64_t kMemory = 0xf0f0f0f0f0f0f0f0;
constexpr AtomicCase kAtomics[] = {
    {"add", kAdd, 0x11, 9, kMemory + 0x11, 0x11, 9},
    {"or", kOr, 0x0f, 9, kMemory | 0x0f, 0x0f, 9},
    {"and", kAnd, 0x3c, 9, 0x30, 0x3c, 9},
    {"xor", kXor, 0xff, 9, kMemory ^ 0xff, 0xff, 9},
    {"fetch_add", kAdd | kFetch, 0x11, 9, kMemory + 0x11, kMemory, 9},
    {"fetch_or", kOr | kFetch, 0x0f, 9, kMemory | 0x0f, kMemory, 9},
    {"fetch_and", kAnd | kFetch, 0x3c, 9, 0x30, kMemory, 9},
    {"fetch_xor", kXor | kFetch, 0xff, 9, kMemory ^ 0xff, kMemory, 9},
    {"xchg", kXchg, 0x1234, 9, 0x1234, kMemory, 9},
    {"cmpxchg, equal", kCmpxchg, 0x1234, kMemory, 0x1234, 0x1234, kMemory},
    {"cmpxchg, different", kCmpxchg, 0x1234, 9, kMemory, 0x1234, kMemory},
    {"load_acquire", kLoadAcq, 0, 9, kMemory, kMemory, 9},
    {"store_release", kStoreRel, 0x1234, 9, 0x1234, 0x1234, 9},
};

TEST(FaultSafe, AtomicsOfBothWidths) {
  const TestArena arena;
  for (const AtomicCase& test : kAtomics) {
    for (const unsigned bytes : {4U, 8U}) {
      SCOPED_TRACE(test.what);
      EXPECT_TRUE(store_arena(arena.view(), TestArena::kPresent, 8, 8, kMemory));
      const uint64_t m = mask(bytes);
      uint64_t operand = test.operand & m;
      uint64_t expected = test.expected & m;
      EXPECT_TRUE(atomic_arena(arena.view(), TestArena::kPresent, 8, bytes, test.operation,
                               &operand, &expected));
      EXPECT_EQ(operand, test.operand_after & m);
      EXPECT_EQ(expected, test.expected_after & m);
      EXPECT_EQ(arena.read(TestArena::kPresent + 8, bytes), test.memory & m);
      if (bytes == 4) {
        EXPECT_EQ(arena.read(TestArena::kPresent + 12, 4), kMemory >> 32);
      }
    }
  }
}

TEST(FaultSafe, AbsentAtomicsWriteNothingAndFetchZero) {
  const TestArena arena;
  for (const Absent& absent : kAbsent) {
    for (const AtomicCase& test : kAtomics) {
      SCOPED_TRACE(std::string(test.what) + ", " + absent.what);
      uint64_t operand = 0x77;
      uint64_t expected = 0x88;
      EXPECT_FALSE(atomic_arena(arena.view(), absent.ptr, absent.off, 8, test.operation, &operand,
                                &expected));
      const bool fetches = test.operation == kLoadAcq ||
                           ((test.operation & kFetch) != 0 && test.operation != kCmpxchg);
      EXPECT_EQ(operand, fetches ? 0U : 0x77U);
      EXPECT_EQ(expected, test.operation == kCmpxchg ? 0U : 0x88U);
    }
  }
}

TEST(FaultSafe, CopiesStopAtTheFirstAbsentByte) {
  const TestArena arena;
  std::vector<std::byte> buffer(kPageSize * 4);
  const uint64_t from = TestArena::kPresentEnd - 5000;
  EXPECT_EQ(copy_from_arena(buffer.data(), arena.view(), from, 9000), 5000U);
  EXPECT_EQ(std::memcmp(buffer.data(), arena.at(from), 5000), 0);
  EXPECT_EQ(copy_from_arena(buffer.data(), arena.view(), from, 5000), 5000U);
  EXPECT_EQ(copy_from_arena(buffer.data(), arena.view(), TestArena::kUnmapped, 100), 0U);
  EXPECT_EQ(copy_from_arena(buffer.data(), arena.view(), from, 0), 0U);

  std::vector<std::byte> pattern(9000, std::byte{0x5a});
  EXPECT_EQ(copy_to_arena(arena.view(), from, pattern.data(), pattern.size()), 5000U);
  EXPECT_EQ(std::memcmp(pattern.data(), arena.at(from), 5000), 0);
  EXPECT_EQ(copy_to_arena(arena.view(), TestArena::kBeyondFile, pattern.data(), 1), 0U);
}

TEST(FaultSafe, CopiesNeverLeaveTheFourGibibytes) {
  const TestArena arena;
  std::byte buffer[64];
  // A size that would run over the guard and around the address space.
  EXPECT_EQ(copy_from_arena(buffer, arena.view(), 0xfffffff0, ~size_t{0}), 0U);
}

TEST(FaultSafe, PagesMayVanishUnderEveryThread) {
  const TestArena arena;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> absent{0};
  std::atomic<uint64_t> wrong{0};
  std::vector<std::jthread> readers;
  for (int n = 0; n < 4; ++n) {
    readers.emplace_back([&] {
      while (!stop.load()) {
        uint64_t value = 1;
        if (!load_arena(arena.view(), TestArena::kPresent, 8, 8, &value)) {
          ++absent;
          if (value != 0) ++wrong;
        }
        std::byte copy[256];
        copy_from_arena(copy, arena.view(), TestArena::kPresent + kPageSize - 128, sizeof copy);
      }
    });
  }
  // Each time the page goes, readers meet its absence before it comes back.
  for (int round = 0; round < 50; ++round) {
    const uint64_t before = absent.load();
    arena.set_present(false);
    while (absent.load() < before + 4) std::this_thread::yield();
    arena.set_present(true);
  }
  stop = true;
  readers.clear();
  EXPECT_EQ(wrong.load(), 0U);
}

// Runs `body` in a child and returns the signal that ended it, 0 for a normal exit.
template <typename Body>
int signal_of(Body body) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit no_core = {0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    body();
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
#ifdef UARENA_SANITIZED
  // The sanitizers' handlers, which were there before ours, turn the signal into an exit status.
  return WIFSIGNALED(status) || WEXITSTATUS(status) != 0 ? SIGSEGV : 0;
#else
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
#endif
}

TEST(ExceptionTable, AFaultOutsideTheArenaIsNotHidden) {
  const TestArena arena;
  EXPECT_EQ(signal_of([&] {
              volatile int* volatile nowhere = reinterpret_cast<int*>(16);
              *nowhere = 1;  // no entry for this instruction
            }),
            SIGSEGV);
  EXPECT_EQ(signal_of([&] {
              // An entry for the instruction, but the bad address is the private side's.
              copy_from_arena(reinterpret_cast<void*>(16), arena.view(), TestArena::kPresent, 8);
            }),
            SIGSEGV);
  EXPECT_EQ(signal_of([&] {
              uint64_t value = 0;
              load_arena(arena.view(), TestArena::kUnmapped, 0, 8, &value);
            }),
            0);
}

TEST(ExceptionTable, ASentSignalStillKills) {
  const TestArena arena;
  EXPECT_EQ(signal_of([] { ::kill(::getpid(), SIGSEGV); }), SIGSEGV);
}

}  // namespace
}  // namespace uarena::jit
