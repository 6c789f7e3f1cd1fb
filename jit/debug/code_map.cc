#include "jit/debug/code_map.h"

#include <algorithm>

namespace uarena::jit::debug {
namespace {

uint32_t file_index(std::vector<std::string>* files, const std::string& file) {
  const auto found = std::ranges::find(*files, file);
  const auto index = static_cast<uint32_t>(found - files->begin());
  if (found == files->end()) files->push_back(file);
  return index;
}

}  // namespace

CodeMap map_code(const FixedProgram& program, const x86_64::CompiledCode& compiled,
                 std::span<const std::byte> code) {
  CodeMap map;
  map.program = program.name();
  map.code = code;
  const auto& subprogs = program.subprogs();
  // What is behind the last subprogram serves all of them, and counts as its.
  const auto end_of = [&](size_t n) {
    return n + 1 < subprogs.size() ? compiled.insn_offsets[subprogs[n + 1].start]
                                   : static_cast<uint32_t>(code.size());
  };
  map.entry = {"bpf_enter_" + program.name(), 0, compiled.insn_offsets[subprogs[0].start], {}};
  map.entered_from = compiled.entered_from;
  for (size_t n = 0; n < subprogs.size(); ++n)
    map.functions.push_back({"bpf_prog_" + subprogs[n].name,
                             compiled.insn_offsets[subprogs[n].start], end_of(n),
                             compiled.frames[n]});
  for (const LineInfo& line : program.lines()) {
    const uint32_t offset = compiled.insn_offsets[line.insn];
    const Line made{offset, file_index(&map.files, line.file), line.line};
    if (!map.lines.empty()) {
      Line& last = map.lines.back();
      if (last.file == made.file && last.number == made.number) continue;
      if (last.offset == offset) {  // of an instruction without code
        last = made;
        continue;
      }
    }
    map.lines.push_back(made);
  }
  return map;
}

}  // namespace uarena::jit::debug
