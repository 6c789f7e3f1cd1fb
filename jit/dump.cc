// Listing of a fixed program in bpftool's manner: index, opcode, text.
#include "jit/dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace uarena::jit {

std::string Annotations::before(size_t insn) {
  std::string text;
  const auto& subprogs = program_.subprogs();
  for (; next_subprog_ < subprogs.size() && subprogs[next_subprog_].start <= insn;
       ++next_subprog_) {
    fmt::format_to(std::back_inserter(text), "{}:\n", subprogs[next_subprog_].name);
  }
  const auto& lines = program_.lines();
  for (; next_line_ < lines.size() && lines[next_line_].insn <= insn; ++next_line_) {
    const LineInfo& line = lines[next_line_];
    fmt::format_to(std::back_inserter(text), "; {}:{} {}\n", line.file, line.line, line.text);
  }
  return text;
}

std::string place_of(const FixedProgram& program, uint32_t insn) {
  const auto& lines = program.lines();
  const auto after = std::ranges::upper_bound(lines, insn, {}, &LineInfo::insn);
  if (after == lines.begin()) return fmt::format("insn {}", insn);
  const LineInfo& line = *std::prev(after);
  std::string_view text = line.text;
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  return fmt::format("insn {} ({}:{}: {})", insn, line.file, line.line, text);
}

namespace {

// Whose address an ld_imm64 loads, instead of the address, which is the broker's and nobody's to
// know.
std::string referred(const FixedProgram& program, uint64_t value) {
  for (const BoundMap* map : program.maps()) {
    if (map == nullptr) continue;
    if (value == reinterpret_cast<uint64_t>(map)) return fmt::format("map[{}]", map->name);
    const auto start = reinterpret_cast<uint64_t>(map->value);
    if (start != 0 && value >= start && value - start < map->value_bytes)
      return fmt::format("map[{}][0]+{}", map->name, value - start);
  }
  return {};
}

std::string text_of(const FixedProgram& program, size_t at) {
  const auto& insns = program.insns();
  if (is_ld_imm64(insns[at]) && at + 1 < insns.size()) {
    const uint64_t value = uint64_t{static_cast<uint32_t>(insns[at + 1].imm)} << 32 |
                           static_cast<uint32_t>(insns[at].imm);
    const std::string name = referred(program, value);
    if (!name.empty()) return fmt::format("r{} = {}", unsigned{insns[at].dst}, name);
  }
  return disassemble(insns, at);
}

}  // namespace

std::string dump_xlated(const FixedProgram& program) {
  std::string text;
  Annotations annotations(program);
  const auto& insns = program.insns();
  for (size_t at = 0; at < insns.size(); ++at) {
    text += annotations.before(at);
    fmt::format_to(std::back_inserter(text), "{:4}: ({:02x}) {}", at, insns[at].code,
                   text_of(program, at));
    if (is_kfunc_call(insns[at])) {
      fmt::format_to(std::back_inserter(text), " ; {}",
                     program.functions()[static_cast<size_t>(insns[at].imm)]->name);
    }
    if (program.counts_at(at)) text += " ; counts turns";
    text += '\n';
    if (is_ld_imm64(insns[at])) ++at;
  }
  return text;
}

}  // namespace uarena::jit
