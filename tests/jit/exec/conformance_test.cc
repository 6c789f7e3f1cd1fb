// The public instruction-set vectors, through the interpreter and through the compiler. They lie
// beside the project (conformance/README.md there) and are not part of it.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "tests/jit/exec/program_builder.h"

namespace uarena::jit {
namespace {

namespace fs = std::filesystem;

fs::path vectors_path() {
  return fs::path(UARENA_SOURCE_DIR) / ".." / "shared" / "conformance" / "isa-conformance.jsonl";
}

std::vector<std::byte> from_hex(std::string_view text) {
  std::vector<std::byte> bytes;
  for (size_t n = 0; n + 1 < text.size(); n += 2) {
    bytes.push_back(
        static_cast<std::byte>(std::stoul(std::string(text.substr(n, 2)), nullptr, 16)));
  }
  return bytes;
}

// Helper 5 of the suite returns its first argument.
uint64_t first_argument(uint64_t r1, uint64_t, uint64_t, uint64_t, uint64_t, RunContext*) {
  return r1;
}
const FunctionDesc kHelper{.name = "first_argument", .function = first_argument};

// The program with a prologue that sets r1 and r2; call 5 becomes call of function 0.
FixedProgram program_of(std::string_view code_hex, uint64_t r1, uint64_t r2) {
  std::vector<Insn> insns;
  append_constant(&insns, 1, r1);
  append_constant(&insns, 2, r2);
  const auto code = from_hex(code_hex);
  const size_t first = insns.size();
  insns.resize(first + code.size() / sizeof(Insn));
  std::memcpy(&insns[first], code.data(), code.size());
  for (Insn& insn : insns) {
    if (insn.code == (kJmp | kCall) && insn.src == 0) {
      EXPECT_EQ(insn.imm, 5);
      insn.src = kPseudoKfuncCall;
      insn.imm = 0;
    }
  }
  auto program = FixedProgramTestPeer::make(std::move(insns), nullptr, {&kHelper});
  FixedProgramTestPeer::set_numbered_functions(&program, {{}, {}, {}, {}, {}, first_argument});
  return program;
}

void run_all(Mode mode) {
  if (!fs::exists(vectors_path())) {
    GTEST_SKIP() << "no instruction-set vectors at " << vectors_path();
  }
  std::ifstream file(vectors_path());
  size_t run = 0;
  for (std::string line; std::getline(file, line);) {
    const auto vector = boost::json::parse(line).as_object();
    const std::string name(vector.at("name").as_string());
    SCOPED_TRACE(name);
    auto mem = from_hex(vector.at("mem").as_string());
    const uint64_t r1 = mem.empty() ? 0 : reinterpret_cast<uint64_t>(mem.data());
    const auto program =
        executable(program_of(vector.at("code").as_string(), r1, mem.size()), mode);
    const uint64_t expected =
        std::stoull(std::string(vector.at("expect").as_string()), nullptr, 16);
    EXPECT_EQ(run_once(*program).result, expected) << program->dump_jited();
    ++run;
  }
  EXPECT_GT(run, 200U);
}

TEST(Conformance, Interpreter) { run_all(Mode::interpret); }
TEST(Conformance, Compiler) { run_all(Mode::compile); }

}  // namespace
}  // namespace uarena::jit
