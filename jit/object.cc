// Looking things up in an object; the loader made it.
#include "jit/object.h"

#include <algorithm>

namespace uarena::jit {

const LineInfo* line_of(const ProgramDef& program, size_t insn) {
  const auto after = std::ranges::upper_bound(program.lines, insn, {}, &LineInfo::insn);
  if (after == program.lines.begin()) return nullptr;
  const LineInfo& line = *(after - 1);
  // A function without lines of its own does not belong to the last line of the one before it.
  for (const Subprog& subprog : program.subprogs)
    if (insn >= subprog.start && insn < uint64_t{subprog.start} + subprog.count)
      return line.insn >= subprog.start ? &line : nullptr;
  return nullptr;
}

}  // namespace uarena::jit
