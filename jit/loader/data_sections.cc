// Classifies every allocated section that is not code and not a declaration.
#include "jit/loader/data_sections.h"

#include <linux/bpf.h>

#include <algorithm>
#include <array>
#include <optional>

#include "ipc/base/page.h"
#include "jit/loader/map_fields.h"

namespace uarena::jit {
namespace {

// Read by other units (or, "version", by nobody): they hold no variables.
constexpr std::array<std::string_view, 3> kDeclarations = {".maps", "license", "version"};

std::optional<MapKind> internal_kind(std::string_view name) {
  if (in_family(name, ".bss")) return MapKind::bss;
  if (in_family(name, ".data")) return MapKind::data;
  if (in_family(name, ".rodata")) return MapKind::rodata;
  return std::nullopt;
}

std::vector<std::byte> contents(const ElfSection& section) {
  if (section.zeroed) return std::vector<std::byte>(section.size);
  return {section.bytes.begin(), section.bytes.end()};
}

Result<DataSection> add_arena_globals(const ElfSection& section, std::vector<MapDef>& maps) {
  const auto arena = std::ranges::find(maps, MapKind::arena, &MapDef::kind);
  if (arena == maps.end())
    return fail(Why::rejected, EINVAL,
                "section '{}' has arena variables, but no arena map is declared in '.maps'",
                section.name);
  const uint64_t arena_bytes = uint64_t{arena->max_entries} * kPageSize;
  if (section.size > arena_bytes)
    return fail(Why::rejected, E2BIG,
                "the arena variables have {} bytes, but arena '{}' has only {}", section.size,
                arena->name, arena_bytes);
  arena->initial = contents(section);
  // An address past the variables is still an address of the arena. The next immediate, which
  // holds the offset, has 32 bits.
  return DataSection{static_cast<size_t>(arena - maps.begin()),
                     std::min(arena_bytes, kMaxArenaSize)};
}

Result<DataSection> add_internal(const ElfFile& elf, const BtfView& btf, const ElfSection& section,
                                 MapKind kind, std::vector<MapDef>& maps) {
  auto fields = fields_of_section(btf, elf, section);
  if (!fields)
    return fail(Why::rejected, fields.error().code, "section '{}' {}", section.name,
                fields.error().message);
  if (kind == MapKind::rodata && !fields->empty())
    return fail(Why::rejected, EINVAL, "section '{}' is read-only and has a lock or timer",
                section.name);
  MapDef def;
  def.name = section.name;
  def.kind = kind;
  def.type = BPF_MAP_TYPE_ARRAY;
  def.key_size = sizeof(uint32_t);
  def.value_size = static_cast<uint32_t>(section.size);  // at most kMaxObjectBytes
  def.max_entries = 1;
  // Nobody maps bytes that hold locks.
  def.map_flags =
      (fields->empty() ? BPF_F_MMAPABLE : 0) | (kind == MapKind::rodata ? BPF_F_RDONLY_PROG : 0);
  def.initial = contents(section);
  def.value_type = btf.datasec_id(section.name);
  def.fields = std::move(*fields);
  maps.push_back(std::move(def));
  return DataSection{maps.size() - 1, section.size};
}

}  // namespace

Result<std::map<uint32_t, DataSection>> add_data_sections(const ElfFile& elf, const BtfView& btf,
                                                          std::vector<MapDef>& maps) {
  std::map<uint32_t, DataSection> found;
  uint64_t total = 0;
  for (const ElfSection& section : elf.sections) {
    if (!section.allocated || section.executable || section.size == 0 ||
        std::ranges::find(kDeclarations, section.name) != kDeclarations.end())
      continue;
    const auto kind = internal_kind(section.name);
    if (!kind && section.name != kArenaSection)
      return fail(Why::rejected, EINVAL,
                  "section '{}' is not supported: variables may be in .bss, .data, .rodata and {}",
                  section.name, kArenaSection);
    if (!section.relocs.empty())
      return fail(Why::rejected, EINVAL,
                  "'{}'+{} is initialised with an address ('{}'): not supported, set it at run "
                  "time",
                  section.name, section.relocs[0].offset,
                  elf.symbols[section.relocs[0].symbol].name);
    total += section.size;
    if (total > kMaxObjectBytes)
      return fail(Why::rejected, EFBIG, "the variables have more than the allowed {} bytes",
                  kMaxObjectBytes);
    auto data =
        kind ? add_internal(elf, btf, section, *kind, maps) : add_arena_globals(section, maps);
    if (!data) return std::unexpected(data.error());
    found[elf.index_of(section)] = *data;
  }
  return found;
}

}  // namespace uarena::jit
