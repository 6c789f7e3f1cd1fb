// The symbol file that a debugger gets, as binutils read it.
#include "jit/debug/elf_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <memory>

#include "tests/jit/exec/program_builder.h"
#include "tests/support/broker_process.h"

namespace uarena::jit::debug {
namespace {

using ::testing::HasSubstr;

FixedProgram two_functions() {
  auto program =
      FixedProgramTestPeer::make(test::assemble_or_die("r6 = r1\n"
                                                       "call callee\n"
                                                       "r0 += r6\n"
                                                       "exit\n"
                                                       "callee:\n"
                                                       "r0 = 5\n"
                                                       "exit\n"));
  FixedProgramTestPeer::set_lines(&program, {{0, 10, 1, "a.c", "int f(long x) {"},
                                             {1, 11, 1, "a.c", "x += g();"},
                                             {2, 11, 9, "a.c", "x += g();"},
                                             {4, 3, 1, "b.h", "int g(void) {"}});
  return program;
}

class ElfImage : public ::testing::Test {
 protected:
  ElfImage()
      : program_(two_functions()),
        compiled_(*x86_64::compile(program_)),
        map_(map_code(program_, compiled_, compiled_.code)) {
    std::ofstream(dir_.path() + "/image", std::ios::binary) << elf_image(map_);
  }
  std::string readelf(const std::string& what) {
    const auto output =
        testing::run_command({"/usr/bin/readelf", "-W", what, dir_.path() + "/image"});
    EXPECT_EQ(output.exit_code(), 0);
    EXPECT_EQ(output.err, "") << what;  // readelf warns there of what it does not understand
    return output.out;
  }
  std::string address(uint32_t offset) const {
    return fmt::format("{:x}", map_.address() + offset);
  }

  testing::TempDir dir_;
  FixedProgram program_;
  x86_64::CompiledCode compiled_;
  CodeMap map_;
};

TEST_F(ElfImage, NamesTheFunctions) {
  ASSERT_EQ(map_.functions.size(), 2U);
  EXPECT_EQ(map_.entry.to, map_.functions[0].from);
  EXPECT_EQ(map_.functions[0].to, map_.functions[1].from);
  EXPECT_EQ(map_.functions[1].to, compiled_.code.size());
  const std::string symbols = readelf("--symbols");
  EXPECT_THAT(symbols, HasSubstr("bpf_enter_test"));
  EXPECT_THAT(symbols, HasSubstr("bpf_prog_f0"));
  EXPECT_THAT(symbols, HasSubstr("bpf_prog_f1"));
  EXPECT_THAT(readelf("--sections"), HasSubstr(fmt::format("{:016x}", map_.address())));
  const std::string info = readelf("--debug-dump=info");
  EXPECT_THAT(info, HasSubstr("bpf_prog_f1"));
  EXPECT_THAT(info, HasSubstr("DW_AT_low_pc      : (addr) 0x" + address(map_.functions[1].from)));
}

TEST_F(ElfImage, NamesTheLines) {
  ASSERT_EQ(map_.lines.size(), 3U);  // one of four is the same line again
  const std::string lines = readelf("--debug-dump=decodedline");
  EXPECT_THAT(lines, ::testing::ContainsRegex(R"(a\.c +10 +0x)" + address(map_.lines[0].offset)));
  EXPECT_THAT(lines, ::testing::ContainsRegex(R"(a\.c +11 +0x)" + address(map_.lines[1].offset)));
  EXPECT_THAT(lines, ::testing::ContainsRegex(R"(b\.h +3 +0x)" + address(map_.lines[2].offset)));
  EXPECT_THAT(lines, HasSubstr(address(static_cast<uint32_t>(compiled_.code.size()))));
}

// The caller's frame is found through rbp, and r6 (rbx) where the prologue saved it.
TEST_F(ElfImage, TellsOfFrames) {
  const std::string frames = readelf("--debug-dump=frames-interp");
  const std::string where =
      fmt::format("{:016x}", map_.functions[0].frame.saved_from + map_.address());
  EXPECT_THAT(frames, ::testing::ContainsRegex(where + " +rbp\\+24 +c-[0-9]+ +c-24 +c-8"));
  EXPECT_THAT(frames, HasSubstr("rsp+80"));
}

}  // namespace
}  // namespace uarena::jit::debug
