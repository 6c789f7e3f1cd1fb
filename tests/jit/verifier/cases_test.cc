// Runs the text cases in cases/*.txt, one test each. A case:
//
//   === name
//   accept                          or: reject ERRNO part of the message
//   (any of: ctx N · stack FUNCTION N · fact LABEL arena|stack|map|ctx|alu|dead|budget ·
//    zeroed FUNCTION · limit N · section NAME · no_address)
//   ---
//   instructions (tests/support/bpf_asm.h); "function name" starts a subprogram
//
// All cases see the same object: maps 0 arena (1 MiB at 0x7e9000000000), 1 .bss (64 bytes),
// 2 .rodata (16 bytes: 5, then 0), 3 an array of 4 elements, 4 a second arena; kfuncs 0 to 2 are
// bpf_arena_alloc_pages, _free_pages, _reserve_pages; 3 is one that nobody offers.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "jit/program.h"
#include "tests/support/bpf_asm.h"
#include "tests/support/functions.h"

namespace uarena::jit {
namespace {

struct Case {
  std::string name;
  std::string file;
  size_t line = 0;
  std::vector<std::string> header;
  std::string text;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.file << ".txt:" << c.line; }

std::vector<Case> read_cases() {
  std::vector<Case> cases;
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(UARENA_SOURCE_DIR "/tests/jit/verifier/cases"))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& path : files) {
    std::ifstream in(path);
    bool in_header = false;
    size_t number = 0;
    for (std::string line; std::getline(in, line);) {
      ++number;
      if (line.starts_with("=== ")) {
        cases.push_back({line.substr(4), path.stem(), number, {}, {}});
        in_header = true;
      } else if (cases.empty() || cases.back().file != path.stem()) {
        continue;  // the file's own comment
      } else if (line == "---") {
        in_header = false;
      } else if (in_header) {
        cases.back().header.push_back(line);
      } else {
        cases.back().text += line + "\n";
      }
    }
  }
  return cases;
}

MapDef map(std::string name, MapKind kind, uint32_t value_size, uint32_t entries = 1) {
  MapDef m;
  m.name = std::move(name);
  m.kind = kind;
  m.value_size = value_size;
  m.max_entries = entries;
  m.initial.resize(value_size);
  return m;
}

struct Built {
  Object object;
  CallTable functions;
  std::map<std::string, size_t> labels;
};

Built build(const Case& c) {
  Built b;
  b.object.maps = {map("arena", MapKind::arena, 0, 256), map(".bss", MapKind::bss, 64),
                   map(".rodata", MapKind::rodata, 16), map("four", MapKind::array, 8, 4),
                   map("arena2", MapKind::arena, 0, 256)};
  b.object.maps[2].initial[0] = std::byte{5};
  b.object.kfuncs = {{"bpf_arena_alloc_pages", false},
                     {"bpf_arena_free_pages", false},
                     {"bpf_arena_reserve_pages", false},
                     {"bpf_nothing", false}};
  b.functions = test::all_functions(b.object);
  ProgramDef program;
  program.name = "main";
  program.section = "syscall";
  // "function f" is a label for the assembler, and the start of a subprogram.
  std::vector<std::string> functions{"main"};
  std::string text = "main:\n";
  std::istringstream in(c.text);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("function ")) {
      functions.push_back(line.substr(9));
      text += functions.back() + ":\n";
    } else {
      text += line + "\n";
    }
  }
  auto assembly = test::assemble(text);
  EXPECT_TRUE(assembly) << (assembly ? "" : assembly.error().message);
  if (!assembly) return b;
  program.insns = assembly->insns;
  for (size_t f = 0; f < functions.size(); ++f) {
    const size_t start = assembly->labels[functions[f]];
    const size_t end =
        f + 1 < functions.size() ? assembly->labels[functions[f + 1]] : program.insns.size();
    program.subprogs.push_back(
        {functions[f], static_cast<uint32_t>(start), static_cast<uint32_t>(end - start), false, 0});
  }
  for (size_t n = 0; n < program.insns.size(); ++n)
    program.lines.push_back({static_cast<uint32_t>(n), static_cast<uint32_t>(assembly->lines[n]), 1,
                             "/src/" + c.name + ".bpf.c", "  source line"});
  b.object.programs.push_back(std::move(program));
  b.labels = assembly->labels;
  return b;
}

void expect_fact(const VerifiedProgram& program, size_t insn, const std::string& fact) {
  const InsnFacts& facts = program.facts()[insn];
  if (fact == "alu")
    EXPECT_TRUE(facts.arena_alu);
  else if (fact == "budget")
    EXPECT_TRUE(facts.budget);
  else if (fact == "dead")
    EXPECT_FALSE(facts.reached);
  else if (fact == "arena")
    EXPECT_EQ(facts.region, Region::arena);
  else if (fact == "stack")
    EXPECT_EQ(facts.region, Region::stack);
  else if (fact == "map")
    EXPECT_EQ(facts.region, Region::map_value);
  else if (fact == "ctx")
    EXPECT_EQ(facts.region, Region::ctx);
  else
    FAIL() << "unknown fact " << fact;
}

class VerifierCase : public testing::TestWithParam<Case> {};

TEST_P(VerifierCase, Verdict) {
  const Case& c = GetParam();
  SCOPED_TRACE(c.file + ".txt:" + std::to_string(c.line));
  Built b = build(c);
  ASSERT_EQ(b.object.programs.size(), 1u);
  VerifierInput input{&b.object, 0, &b.functions, 0x7e9000000000, 1 << 20, 0, 100'000};
  std::string verdict, code, message;
  std::vector<std::vector<std::string>> expectations;
  for (const std::string& line : c.header) {
    std::istringstream in(line);
    std::vector<std::string> words{std::istream_iterator<std::string>(in), {}};
    ASSERT_FALSE(words.empty());
    if (words[0] == "accept") {
      verdict = words[0];
    } else if (words[0] == "reject") {
      verdict = words[0];
      ASSERT_GE(words.size(), 3u);
      code = words[1];
      message = line.substr(line.find(code) + code.size() + 1);
    } else if (words[0] == "limit") {
      input.insn_limit = std::stoull(words.at(1));
    } else if (words[0] == "section") {
      b.object.programs[0].section = words.at(1);
    } else if (words[0] == "no_address") {
      input.user_vm_start = 0;
    } else {
      expectations.push_back(words);
    }
  }
  const auto result = verify(input);
  if (verdict == "accept") {
    ASSERT_TRUE(result) << result.error().error.message << "\n" << result.error().log;
    for (const auto& words : expectations) {
      if (words[0] == "ctx") {
        EXPECT_EQ(result->ctx_size(), std::stoul(words.at(1)));
      } else if (words[0] == "stack") {
        const auto& subprogs = b.object.programs[0].subprogs;
        const auto it = std::find_if(subprogs.begin(), subprogs.end(),
                                     [&](const Subprog& s) { return s.name == words.at(1); });
        ASSERT_NE(it, subprogs.end());
        EXPECT_EQ(result->stack_bytes()[static_cast<size_t>(it - subprogs.begin())],
                  std::stoul(words.at(2)));
      } else if (words[0] == "zeroed") {
        const auto& subprogs = b.object.programs[0].subprogs;
        const auto it = std::ranges::find(subprogs, words.at(1), &Subprog::name);
        ASSERT_NE(it, subprogs.end());
        EXPECT_TRUE(result->zeroed_stack()[static_cast<size_t>(it - subprogs.begin())]);
      } else if (words[0] == "fact") {
        ASSERT_TRUE(b.labels.contains(words.at(1))) << words.at(1);
        expect_fact(*result, b.labels[words.at(1)], words.at(2));
      } else {
        FAIL() << "unknown expectation " << words[0];
      }
    }
    return;
  }
  ASSERT_EQ(verdict, "reject");
  ASSERT_FALSE(result) << "accepted";
  const Rejection& why = result.error();
  EXPECT_NE(why.error.message.find(message), std::string::npos) << why.error.message;
  EXPECT_EQ(strerrorname_np(why.error.code), code) << why.error.message;
  EXPECT_EQ(why.error.why, Why::rejected);
  // The instruction and its source line.
  EXPECT_TRUE(why.error.message.starts_with("insn " + std::to_string(why.insn) + " ("))
      << why.error.message;
  EXPECT_NE(why.error.message.find(c.name + ".bpf.c:"), std::string::npos) << why.error.message;
}

INSTANTIATE_TEST_SUITE_P(Text, VerifierCase, testing::ValuesIn(read_cases()),
                         [](const auto& param) {
                           return param.param.file + "_" + param.param.name;
                         });

// Eight full frames make large states, and a long loop without forks many of them.
TEST(VerifierLimits, MemoryForStates) {
  Case c{"large_states", "", 0, {}, {}};
  for (int frame = 0; frame < 8; ++frame) {
    if (frame > 0) c.text += fmt::format("function f{}\n", frame);
    for (int slot = 1; slot <= 64; ++slot)
      c.text += fmt::format("*(u64 *)(r10 -{}) = {}\n", 8 * slot, slot);
    c.text += "r2 = r10\nr0 = 0\n";  // who takes the frame's address keeps it all
    if (frame < 7) c.text += fmt::format("call f{}\nexit\n", frame + 1);
  }
  c.text += "r6 = 0\nagain:\n";
  for (int n = 0; n < 800; ++n) {
    for (int m = 0; m < 7; ++m) c.text += "r0 = 1\n";
    c.text += "goto pc+0\n";
  }
  c.text += "r6 += 1\nif r6 == 1000000 goto end\ngotol again\nend:\nexit\n";
  Built b = build(c);
  VerifierInput input;
  input.object = &b.object;
  input.functions = &b.functions;
  const auto result = verify(input);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error.code, E2BIG);
  EXPECT_NE(result.error().error.message.find("256 MiB"), std::string::npos)
      << result.error().error.message;
}

Case long_walk() {
  Case c{"long_walk", "", 0, {}, {}};
  for (int n = 0; n < 1000; ++n) c.text += "r0 = 0\n";
  c.text += "exit\n";
  return c;
}

TEST(VerifierLimits, Time) {
  Built b = build(long_walk());
  VerifierInput input;
  input.object = &b.object;
  input.functions = &b.functions;
  input.deadline = std::chrono::steady_clock::now();
  const auto result = verify(input);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error.code, E2BIG);
  EXPECT_NE(result.error().error.message.find("in the time that a load may take"),
            std::string::npos)
      << result.error().error.message;
}

TEST(VerifierLimits, NobodyWaits) {
  Built b = build(long_walk());
  const std::atomic<bool> cancelled{true};
  VerifierInput input;
  input.object = &b.object;
  input.functions = &b.functions;
  input.cancelled = &cancelled;
  const auto result = verify(input);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error.code, ECANCELED) << result.error().error.message;
}

TEST(VerifierCases, AreMany) { EXPECT_GE(read_cases().size(), 80u); }

}  // namespace
}  // namespace uarena::jit
