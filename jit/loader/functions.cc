// Symbols in, sorted table out. Two symbols may name one function (an alias): the global one wins.
#include "jit/loader/functions.h"

#include <algorithm>
#include <tuple>

namespace uarena::jit {
namespace {

std::pair<uint32_t, uint32_t> place(const Function& f) { return {f.section, f.start}; }

}  // namespace

Result<FunctionTable> FunctionTable::read(const ElfFile& elf) {
  for (const ElfSection& section : elf.sections) {
    if (!section.executable) continue;
    if (section.zeroed || !section.allocated || section.size % kInsnBytes != 0)
      return fail(Why::rejected, EINVAL,
                  "section '{}' has {} bytes of code: expected whole instructions of {} bytes",
                  section.name, section.size, kInsnBytes);
  }
  FunctionTable table;
  for (const ElfSymbol& symbol : elf.symbols) {
    if (symbol.kind != SymbolKind::function || !symbol.defined) continue;
    const ElfSection& section = elf.sections[symbol.section];
    if (!section.executable)
      return fail(Why::rejected, EINVAL, "function '{}' is in section '{}', which is not code",
                  symbol.name, section.name);
    if (symbol.size == 0 || symbol.size % kInsnBytes != 0 || symbol.value % kInsnBytes != 0)
      return fail(Why::rejected, EINVAL,
                  "function '{}' has {} bytes at '{}'+{}: expected whole instructions of {} bytes",
                  symbol.name, symbol.size, section.name, symbol.value, kInsnBytes);
    const bool global = !symbol.local && !symbol.hidden;
    table.functions_.push_back({symbol.name, symbol.section,
                                static_cast<uint32_t>(symbol.value / kInsnBytes),
                                static_cast<uint32_t>(symbol.size / kInsnBytes), global,
                                !symbol.local && !in_family(section.name, ".text")});
  }
  auto& functions = table.functions_;
  std::ranges::sort(functions, {}, [](const Function& f) {
    return std::tuple(f.section, f.start, !f.program, !f.global, f.name);
  });
  const auto aliases = std::ranges::unique(functions, {}, place);
  functions.erase(aliases.begin(), aliases.end());
  return table;
}

std::optional<size_t> FunctionTable::at(uint32_t section, uint64_t start) const {
  const auto found = std::ranges::lower_bound(
      functions_, std::pair<uint32_t, uint64_t>{section, start}, {},
      [](const Function& f) -> std::pair<uint32_t, uint64_t> { return {f.section, f.start}; });
  if (found == functions_.end() || found->section != section || found->start != start)
    return std::nullopt;
  return static_cast<size_t>(found - functions_.begin());
}

}  // namespace uarena::jit
