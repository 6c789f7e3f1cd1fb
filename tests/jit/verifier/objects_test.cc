// Real programs: every object that clang-19 made of the BPF sources in this repository is verified.
// What must be rejected is listed, with its reason; all else must be accepted.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "jit/program.h"
#include "tests/support/functions.h"

namespace uarena::jit {
namespace {

// "object program": part of the message.
const std::map<std::string, std::string>& rejected() {
  static const std::map<std::string, std::string> list = {
      {"kfuncs_wrong_map alloc_pages", "arg#0 expected pointer to STRUCT bpf_map"},
      {"kfuncs_wrong_map free_pages", "arg#0 expected pointer to STRUCT bpf_map"},
      {"kfuncs_wrong_map reserve_pages", "arg#0 expected pointer to STRUCT bpf_map"},
  };
  return list;
}

Result<Object> load(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  return load_object(std::as_bytes(std::span(bytes)));
}

TEST(VerifierObjects, RealProgramsGetTheirVerdict) {
  size_t accepted = 0;
  for (const char* name : {UARENA_VERIFIED_OBJECTS}) {
    const auto object =
        load(std::filesystem::path(UARENA_BPF_DIR) / (std::string(name) + ".bpf.o"));
    ASSERT_TRUE(object) << name << ": " << object.error().message;
    const CallTable functions = test::all_functions(*object);
    for (size_t n = 0; n < object->programs.size(); ++n) {
      const std::string id = std::string(name) + " " + object->programs[n].name;
      const auto result = verify({&*object, n, &functions, 0x7e9000000000, uint64_t{1} << 32, 0});
      const auto reason = rejected().find(id);
      if (reason == rejected().end()) {
        EXPECT_TRUE(result) << id << ": " << result.error().error.message << "\n"
                            << result.error().log;
        accepted += result.has_value();
        continue;
      }
      EXPECT_FALSE(result) << id;
      if (!result) {
        EXPECT_NE(result.error().error.message.find(reason->second), std::string::npos)
            << result.error().error.message;
      }
    }
  }
  EXPECT_GE(accepted, 20u);
}

TEST(VerifierObjects, MessagesNameTheSourceLine) {
  const auto object = load(std::filesystem::path(UARENA_BPF_DIR) / "kfuncs_wrong_map.bpf.o");
  ASSERT_TRUE(object);
  const CallTable functions = test::all_functions(*object);
  const auto result = verify({&*object, 0, &functions, 0x7e9000000000, uint64_t{1} << 32, 1});
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().error.message.find("(kfuncs_wrong_map.bpf.c:"), std::string::npos);
  // Level 1: the path with the registers on it, instruction by instruction.
  EXPECT_NE(result.error().log.find("0: R1=ctx() R10=fp0\n"), std::string::npos)
      << result.error().log;
  EXPECT_NE(result.error().log.find("(85) call bpf_arena_alloc_pages\n"), std::string::npos)
      << result.error().log;
}

TEST(VerifierObjects, LogOfAnAcceptedProgram) {
  const auto object = load(std::filesystem::path(UARENA_BPF_DIR) / "list.bpf.o");
  ASSERT_TRUE(object);
  const CallTable functions = test::all_functions(*object);
  std::string log;
  ASSERT_TRUE(verify({&*object, 0, &functions, 0x7e9000000000, uint64_t{1} << 32, 2}, &log));
  EXPECT_NE(log.find(" R10=fp0"), std::string::npos);
  EXPECT_NE(log.find("widened: R"), std::string::npos);
  EXPECT_NE(log.find("processed "), std::string::npos);
  EXPECT_LE(log.size(), (size_t{1} << 20) + 65536);
}

}  // namespace
}  // namespace uarena::jit
