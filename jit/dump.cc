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

std::string dump_xlated(const FixedProgram& program) {
  std::string text;
  Annotations annotations(program);
  const auto& insns = program.insns();
  for (size_t at = 0; at < insns.size(); ++at) {
    text += annotations.before(at);
    fmt::format_to(std::back_inserter(text), "{:4}: ({:02x}) {}", at, insns[at].code,
                   disassemble(insns, at));
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
