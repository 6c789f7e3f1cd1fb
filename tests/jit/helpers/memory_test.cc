// Reading through pointers that nobody has checked: a program's own memory, and nothing else.
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <array>

#include "jit/catalogue.h"
#include "jit/helpers/functions.h"
#include "jit/helpers/program_memory.h"
#include "jit/trace_log.h"
#include "tests/jit/exec/program_builder.h"
#include "tests/jit/exec/test_arena.h"

namespace uarena::jit {
namespace {

class ProgramMemory : public testing::Test {
 protected:
  ProgramMemory() { run_.arena = &arena_.view(); }

  int64_t probe(uint64_t address, size_t size) {
    to_.fill('x');
    return static_cast<int64_t>(helpers::probe_read_kernel(reinterpret_cast<uint64_t>(to_.data()),
                                                           size, address, 0, 0, &run_));
  }
  int64_t probe_string(uint64_t address, size_t size) {
    to_.fill('x');
    return static_cast<int64_t>(helpers::probe_read_kernel_str(
        reinterpret_cast<uint64_t>(to_.data()), size, address, 0, 0, &run_));
  }

  TestArena arena_;
  OwnPointers own_;
  RunContext run_;
  std::array<char, 3 * kPageSize> to_;
};

TEST_F(ProgramMemory, IsTheArenaByBothItsAddresses) {
  for (const uint64_t address : {TestArena::kPresent, TestArena::kPresent & 0xffffffff}) {
    EXPECT_EQ(probe(address + 5, 8), 0);
    EXPECT_EQ(std::memcmp(to_.data(), arena_.at(TestArena::kPresent + 5), 8), 0);
    EXPECT_EQ(to_[8], 'x');
  }
}

TEST_F(ProgramMemory, AbsentPagesAreZerosAndAnError) {
  EXPECT_EQ(probe(TestArena::kUnmapped, 8), -EFAULT);
  EXPECT_EQ(std::string_view(to_.data(), 9), std::string_view("\0\0\0\0\0\0\0\0x", 9));
  EXPECT_EQ(probe(TestArena::kPresentEnd - 4, 8), -EFAULT);
  EXPECT_EQ(std::string_view(to_.data(), 9), std::string_view("\0\0\0\0\0\0\0\0x", 9));
}

TEST_F(ProgramMemory, IsNotTheBrokers) {
  static const uint64_t secret = 42;
  const uint64_t on_stack = 42;
  for (const void* address :
       {static_cast<const void*>(&secret), static_cast<const void*>(&on_stack),
        static_cast<const void*>(&run_), static_cast<const void*>(this)})
    EXPECT_EQ(probe(reinterpret_cast<uint64_t>(address), 8), -EFAULT);
  for (const uint64_t address : {~uint64_t{0}, ~uint64_t{7}, uint64_t{1} << 47, uint64_t{1} << 63})
    EXPECT_EQ(probe(address, 8), -EFAULT);
  EXPECT_EQ(probe(arena_.view().kern_vm_start + TestArena::kPresent % (uint64_t{1} << 32), 8),
            -EFAULT);
}

TEST_F(ProgramMemory, IsTheContextToItsEnd) {
  std::array<std::byte, 16> ctx{std::byte{7}};
  run_.ctx = ctx;
  EXPECT_EQ(probe(reinterpret_cast<uint64_t>(ctx.data()), 16), -EFAULT);  // guessed
  own_.own = 1u << OwnPointers::argument(3);
  own_.bytes[OwnPointers::argument(3)] = OwnPointers::kToContextEnd;
  run_.own_pointers = &own_;
  EXPECT_EQ(probe(reinterpret_cast<uint64_t>(ctx.data()), 16), 0);
  EXPECT_EQ(to_[0], 7);
  EXPECT_EQ(probe(reinterpret_cast<uint64_t>(ctx.data()) + 8, 9), -EFAULT);
  EXPECT_EQ(probe(reinterpret_cast<uint64_t>(ctx.data()) - 1, 1), -EFAULT);
}

TEST_F(ProgramMemory, IsWhatTheVerifierKnowsBehindAPointer) {
  std::array<char, 16> value{"0123456789abcde"};
  const auto address = reinterpret_cast<uint64_t>(value.data());
  own_.own = 1u << OwnPointers::argument(3);
  own_.bytes[OwnPointers::argument(3)] = 12;
  run_.own_pointers = &own_;
  EXPECT_EQ(probe(address, 12), 0);
  EXPECT_EQ(std::string_view(to_.data(), 13), "0123456789abx");
  EXPECT_EQ(probe(address, 13), -EFAULT);
  EXPECT_EQ(to_[0], 0);
  EXPECT_EQ(probe_string(address, 16), -EFAULT);  // no NUL in sight
  EXPECT_EQ(probe_string(address, 12), 12);
  EXPECT_STREQ(to_.data(), "0123456789a");
  EXPECT_EQ(probe(0, 4), -EFAULT);  // NULL where a value may be missing: not the arena
}

TEST_F(ProgramMemory, StringsEndAtTheirNul) {
  char* text = reinterpret_cast<char*>(arena_.at(TestArena::kPresent));
  std::memset(text, 'a', 2 * kPageSize);
  std::strcpy(text + kPageSize - 3, "abcde");
  EXPECT_EQ(probe_string(TestArena::kPresent + kPageSize - 3, 100), 6);
  EXPECT_STREQ(to_.data(), "abcde");
  EXPECT_EQ(probe_string(TestArena::kPresent + kPageSize - 3, 4), 4);  // cut
  EXPECT_STREQ(to_.data(), "abc");
  EXPECT_EQ(probe_string(TestArena::kPresent + kPageSize - 3, 0), 0);
  EXPECT_EQ(to_[0], 'x');
  std::memset(arena_.at(TestArena::kPresentEnd - 600), 'a', 600);  // goes on into the absent page
  EXPECT_EQ(probe_string(TestArena::kPresentEnd - 600, 1000), -EFAULT);
  EXPECT_EQ(to_[0], 0);
  EXPECT_EQ(probe_string(TestArena::kPresentEnd - 600, 600), 600);
}

TEST(Strncmp, IsTheLibrarys) {
  const auto compare = [](const char* a, uint64_t size, const char* b) {
    return static_cast<int64_t>(helpers::strncmp(reinterpret_cast<uint64_t>(a), size,
                                                 reinterpret_cast<uint64_t>(b), 0, 0, nullptr));
  };
  EXPECT_EQ(compare("abc", 4, "abc"), 0);
  EXPECT_EQ(compare("abcd", 3, "abc"), 0);
  EXPECT_LT(compare("abb", 4, "abc"), 0);
  EXPECT_GT(compare("abc", 4, "ab"), 0);
}

// Pointers of the program's own, through the executors.
class Printing : public testing::TestWithParam<Mode> {};

TEST_P(Printing, StringsFromTheStackAndFromMaps) {
  std::array<std::byte, 16> value{};
  std::memcpy(value.data(), "map", 4);
  const FunctionDesc* printk = offered_helpers().at(BPF_FUNC_trace_printk);
  ASSERT_NE(printk, nullptr);
  constexpr uint64_t kFormat = 0x002173252073255b;  // "[%s %s!" and NUL
  auto fixed = FixedProgramTestPeer::make(
      test::assemble_or_die(fmt::format("r1 = {} ll\n"
                                        "*(u64 *)(r10 -8) = r1\n"
                                        "r1 = 0x6b63617473 ll\n"  // "stack"
                                        "*(u64 *)(r10 -16) = r1\n"
                                        "r1 = r10\nr1 += -8\nr2 = 8\n"
                                        "r3 = r10\nr3 += -16\n"
                                        "r4 = {} ll\n"
                                        "r5 = 0\n"
                                        "call kfunc#0\n"
                                        "exit\n",
                                        kFormat, reinterpret_cast<uint64_t>(value.data()))),
      nullptr, {printk});
  OwnPointers own;
  own.own = 1u << OwnPointers::argument(3) | 1u << OwnPointers::argument(4);
  own.bytes[OwnPointers::argument(3)] = 8;
  own.bytes[OwnPointers::argument(4)] = static_cast<uint32_t>(value.size());
  FixedProgramTestPeer::set_own_pointers(&fixed, 14, own);
  TraceLog log;
  RunContext run;
  run.log = &log;
  EXPECT_EQ(executable(std::move(fixed), GetParam())->run({}, run), 11U);
  EXPECT_EQ(log.content().text, "[stack map!\n");
}

INSTANTIATE_TEST_SUITE_P(Executors, Printing, testing::Values(Mode::interpret, Mode::compile),
                         [](const auto& param) {
                           return param.param == Mode::compile ? "Compiler" : "Interpreter";
                         });

TEST(TraceLog, KeepsTheLatestLines) {
  TraceLog log;
  log.add("one\n");
  log.add("two");
  EXPECT_EQ(log.content().text, "one\ntwo\n");
  EXPECT_EQ(log.content().dropped, 0U);
  const std::string line(1000, 'x');
  for (int n = 0; n < 100; ++n) log.add(line);
  EXPECT_LE(log.content().text.size(), TraceLog::kMostBytes);
  EXPECT_EQ(log.content().text.size() % 1001, 0U);
  EXPECT_EQ(log.content().dropped + log.content().text.size() / 1001, 102U);
}

}  // namespace
}  // namespace uarena::jit
