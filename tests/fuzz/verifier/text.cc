// Line by line in both directions.
#include "tests/fuzz/verifier/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "tests/support/insn.h"

namespace uarena::fuzz {
namespace {

using jit::Param;

constexpr std::array<std::string_view, 6> kKinds = {"scalar", "arena",          "ctx",
                                                    "memory", "memory_or_null", "unsupported"};

bool read_sub(std::istringstream& words, Input& input) {
  jit::Subprog sub;
  if (!(words >> sub.name >> sub.count)) return false;
  sub.start = static_cast<uint32_t>(input.program.insns.size());
  sub.btf_func_id = static_cast<uint32_t>(input.program.subprogs.size()) + 1;
  for (std::string word; words >> word;) {
    const size_t colon = word.find(':');
    const auto kind = std::find(kKinds.begin(), kKinds.end(), word.substr(0, colon));
    if (kind == kKinds.end()) return false;
    Param param;
    param.kind = static_cast<Param::Kind>(kind - kKinds.begin());
    if (colon != std::string::npos)
      param.size = static_cast<uint32_t>(std::strtoul(word.c_str() + colon + 1, nullptr, 10));
    sub.params.push_back(param);
  }
  sub.global = input.program.subprogs.empty() || !sub.params.empty();
  input.program.subprogs.push_back(std::move(sub));
  return true;
}

bool read_insn(std::istringstream& words, Input& input) {
  int64_t code = 0, dst = 0, src = 0, off = 0, imm = 0;
  std::string first;
  words >> first;
  code = std::strtol(first.c_str(), nullptr, 0);
  if (!(words >> dst >> src >> off >> imm)) return false;
  input.program.insns.push_back(test::make_insn(code, dst, src, off, imm));
  return true;
}

}  // namespace

std::string to_text(const Input& input) {
  std::string text = fmt::format("data {}\n", input.data);
  if (input.program.section != "syscall") text += fmt::format("type {}\n", input.program.section);
  const auto& insns = input.program.insns;
  for (const jit::Subprog& sub : input.program.subprogs) {
    text += fmt::format("sub {} {}", sub.name, sub.count);
    for (const Param& param : sub.params) {
      text += fmt::format(" {}", kKinds[static_cast<size_t>(param.kind)]);
      if (param.size != 0) text += fmt::format(":{}", param.size);
    }
    text += '\n';
    bool second = false;  // of an ld_imm64
    for (size_t at = sub.start; at < sub.start + sub.count; ++at) {
      const jit::Insn& i = insns[at];
      text += fmt::format("{:#04x} {} {} {} {}", i.code, unsigned{i.dst}, unsigned{i.src}, i.off,
                          i.imm);
      if (!second) text += fmt::format("  # {}: {}", at, disassemble(insns, at));
      text += '\n';
      second = !second && is_ld_imm64(i);
    }
  }
  return text;
}

std::optional<Input> from_text(std::string_view text) {
  Input input;
  input.program.name = "fuzz";
  input.program.section = "syscall";
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    line.erase(std::min(line.find('#'), line.size()));
    std::istringstream words(line);
    std::string word;
    if (!(words >> word)) continue;
    if (word == "data") {
      if (!(words >> input.data)) return std::nullopt;
    } else if (word == "type") {
      if (!(words >> input.program.section)) return std::nullopt;
    } else if (word == "sub") {
      if (!read_sub(words, input)) return std::nullopt;
    } else {
      std::istringstream again(line);
      if (!read_insn(again, input)) return std::nullopt;
    }
  }
  size_t counted = 0;
  for (const jit::Subprog& sub : input.program.subprogs) counted += sub.count;
  if (counted == 0 || counted != input.program.insns.size()) return std::nullopt;
  return input;
}

}  // namespace uarena::fuzz
