// Executable memory: never writable and executable, int3 wherever there is no code, reused and
// given back.
#include "jit/exec_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "tests/jit/exec/program_builder.h"

namespace uarena::jit {
namespace {

std::vector<std::byte> code_of(size_t size) { return std::vector(size, std::byte{0x90}); }

ExecMemory& memory() { return **ExecMemory::instance(); }

TEST(ExecMemory, NoMappingIsEverWritableAndExecutable) {
  const auto program = executable(
      FixedProgramTestPeer::make(test::assemble_or_die("r0 = 1\nexit\n")), Mode::compile);
  EXPECT_EQ(run_once(*program).result, 1U);
  std::ifstream maps("/proc/self/maps");
  size_t of_code = 0;
  for (std::string line; std::getline(maps, line);) {
    const std::string permissions = line.substr(line.find(' ') + 1, 4);
    EXPECT_FALSE(permissions[1] == 'w' && permissions[2] == 'x') << line;
    if (line.find("memfd:uarena-code") == std::string::npos) continue;
    ++of_code;
    EXPECT_EQ(permissions, "r-xs");  // and no writable alias beside it
  }
  EXPECT_EQ(of_code, 1U);
}

TEST(ExecMemory, BlocksHoldTheirCodeAndInt3AroundIt) {
  auto block = memory().add(code_of(100));
  ASSERT_TRUE(block);
  EXPECT_EQ(reinterpret_cast<uint64_t>(block->code()) % ExecMemory::kGranule, 0U);
  EXPECT_TRUE(std::all_of(block->code(), block->code() + 100,
                          [](std::byte b) { return b == std::byte{0x90}; }));
  EXPECT_TRUE(std::all_of(block->code() + 100, block->code() + 128,
                          [](std::byte b) { return b == std::byte{0xcc}; }));
}

TEST(ExecMemory, FreedCodeBecomesInt3AndIsReused) {
  auto keep = memory().add(code_of(64));  // holds the file's length
  auto first = memory().add(code_of(64));
  auto last = memory().add(code_of(64));
  ASSERT_TRUE(keep && first && last);
  const std::byte* where = first->code();
  {
    const ExecBlock freed = std::move(*first);
  }
  EXPECT_TRUE(std::all_of(where, where + 64, [](std::byte b) { return b == std::byte{0xcc}; }));
  const auto again = memory().add(code_of(64));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->code(), where);
}

TEST(ExecMemory, FreeingMergesNeighboursAndShortensTheFile) {
  const size_t before = memory().file_bytes();
  std::vector<ExecBlock> blocks;
  for (int n = 0; n < 10; ++n) blocks.push_back(*memory().add(code_of(ExecMemory::kStep / 2)));
  EXPECT_GE(memory().file_bytes(), before + 4 * ExecMemory::kStep);
  // In an order in which both neighbours, one or none is free.
  for (const size_t n : {3, 1, 2, 0, 9, 7, 8, 5, 4, 6}) {
    const ExecBlock freed = std::move(blocks[n]);
  }
  EXPECT_EQ(memory().file_bytes(), before);
}

TEST(ExecMemory, MoreThanThereIsIsAnError) {
  const auto block = memory().add(code_of(ExecMemory::kCapacity + 1));
  ASSERT_FALSE(block);
  EXPECT_EQ(block.error().code, ENOSPC);
  EXPECT_TRUE(memory().add(code_of(10))) << "and changes nothing";
}

}  // namespace
}  // namespace uarena::jit
