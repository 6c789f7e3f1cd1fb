// The plugin as a suite's runner uses it: a process per program, memory as an argument, the program
// on standard input.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "tests/support/bpf_asm.h"
#include "tests/support/broker_process.h"

namespace uarena::conformance {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::RunOutput;

const std::string kPlugin = std::string(UARENA_BIN_DIR) + "/uarena-bpf-conformance";

// Two digits and two blanks a byte, as runners write it.
std::string spaced(std::string_view hex) {
  std::string text;
  for (size_t n = 0; n + 1 < hex.size(); n += 2) text += std::string(hex.substr(n, 2)) + "  ";
  return text;
}

std::string hex_of(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte b : bytes) text += fmt::format("{:02x}", static_cast<unsigned>(b));
  return text;
}

std::string hex_of_program(std::string_view assembly) {
  const auto insns = test::assemble_or_die(assembly);
  return hex_of(std::as_bytes(std::span(insns)));
}

class Plugin : public ::testing::TestWithParam<bool> {
 protected:
  RunOutput run(std::string_view hex, const std::string& memory = "", bool elf = false) {
    std::vector<std::string> argv{kPlugin};
    if (!memory.empty()) argv.push_back(spaced(memory));
    if (GetParam()) argv.push_back("--interpret");
    if (elf) argv.push_back("--elf");
    return testing::run_command(argv, spaced(hex) + "\n");
  }
  void refused(std::string_view hex, const std::string& why, bool elf = false) {
    const RunOutput output = run(hex, "", elf);
    EXPECT_EQ(output.exit_code(), 1) << hex;
    EXPECT_EQ(output.out, "");
    EXPECT_THAT(output.err, HasSubstr(why));
  }
};

TEST_P(Plugin, AgreesWithTheVectors) {
  const auto path =
      fs::path(UARENA_SOURCE_DIR) / ".." / "shared" / "conformance" / "isa-conformance.jsonl";
  if (!fs::exists(path)) GTEST_SKIP() << "no instruction-set vectors at " << path;
  std::ifstream file(path);
  int count = 0;
  for (std::string line; std::getline(file, line); ++count) {
    const auto vector = boost::json::parse(line).as_object();
    const RunOutput output =
        run(vector.at("code").as_string(), std::string(vector.at("mem").as_string()));
    EXPECT_EQ(output.exit_code(), 0) << line << output.err;
    const std::string expected(vector.at("expect").as_string());
    EXPECT_EQ("0x" + output.out, expected + "\n") << line;
  }
  EXPECT_GT(count, 200);
}

TEST_P(Plugin, TakesObjects) {
  std::ifstream file(std::string(UARENA_BPF_DIR) + "/conformance_elf.bpf.o", std::ios::binary);
  const std::string image(std::istreambuf_iterator<char>(file), {});
  ASSERT_FALSE(image.empty());
  const std::string hex = hex_of(std::as_bytes(std::span(image)));
  EXPECT_EQ(run(hex, "110000ab", true).out, "ab11\n");
  refused(hex.substr(0, hex.size() / 2 / 2 * 2), "program: ", true);
  refused(hex_of_program("r0 = 0\nexit\n"), "program: ", true);
}

TEST_P(Plugin, CallsByNumber) {
  EXPECT_EQ(run(hex_of_program("r1 = 7\nr6 = 5\ncallx r6\nexit\n")).out, "7\n");
  refused(hex_of_program("r1 = 7\nr6 = 4\ncallx r6\nexit\n"), "ended at insn");
  refused(hex_of_program("r1 = 7\nr6 = -1\ncallx r6\nexit\n"), "ended at insn");
}

TEST_P(Plugin, SaysWhatItCannotRun) {
  refused("", "no whole instructions");
  refused("b7000000", "no whole instructions");
  refused("zz", "no hexadecimal digit");
  refused(hex_of_program("r0 = 0\n"), "instruction");
  refused(hex_of_program("goto pc+7\nexit\n"), "instruction");
  refused(hex_of_program("raw 0xff 0 0 0 0\nexit\n"), "unknown opcode ff");
  refused(hex_of_program("raw 0xb7 12 0 0 1\nexit\n"), "instruction");
  refused(hex_of_program("call helper#6\nexit\n"), "no helper 6");
  refused(hex_of_program("raw 0x18 1 1 0 0\nraw 0 0 0 0 0\nexit\n"), "no maps");
  refused(hex_of_program("r1 = 0\nr0 = *(u64 *)(r1 +0)\nexit\n"), "not its own");
}

// The limit is time of computing, so this takes as long.
TEST_P(Plugin, EndsWhatDoesNotEnd) {
  refused(hex_of_program("r0 = 0\nagain:\nif r0 == 0 goto again\nexit\n"), "ran for");
}

TEST(PluginInput, IsWholeBytes) {
  const RunOutput output = testing::run_command({kPlugin, "1"}, "b7\n");
  EXPECT_EQ(output.exit_code(), 1);
  EXPECT_THAT(output.err, HasSubstr("half a byte"));
}

INSTANTIATE_TEST_SUITE_P(Executors, Plugin, ::testing::Bool(), [](const auto& param) {
  return param.param ? "Interpreter" : "Compiler";
});

}  // namespace
}  // namespace uarena::conformance
