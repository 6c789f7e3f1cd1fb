// The first layer of the object file: which sections, symbols and relocations it has. libelf finds
// the tables; everything it reports is checked against the image here, once, so that the units
// above work on spans that lie inside the image and on indices that exist.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ipc/base/result.h"

namespace uarena::jit {

// A relocation of an SHT_REL section: the addend lies in the patched bytes.
struct ElfReloc {
  uint64_t offset = 0;  // inside the patched section
  uint32_t type = 0;    // R_BPF_*
  uint32_t symbol = 0;  // index into ElfFile::symbols, checked
};

struct ElfSection {
  std::string_view name;
  uint64_t size = 0;                 // at most kMaxObjectBytes, also for NOBITS
  std::span<const std::byte> bytes;  // `size` of them; empty for NOBITS
  bool executable = false;
  bool allocated = false;
  bool zeroed = false;           // NOBITS
  std::vector<ElfReloc> relocs;  // ascending offset; only for allocated sections
};

enum class SymbolKind { none, data, function, section, other };

struct ElfSymbol {
  std::string_view name;
  uint64_t value = 0;
  uint64_t size = 0;
  SymbolKind kind = SymbolKind::none;
  bool local = false;    // STB_LOCAL
  bool weak = false;     // STB_WEAK
  bool hidden = false;   // STV_HIDDEN or STV_INTERNAL
  uint32_t section = 0;  // index into ElfFile::sections, checked; 0: undefined or not in a section
  bool defined = false;  // in a section; otherwise absolute, common or external
};

// Views into the image, which must outlive it.
struct ElfFile {
  std::vector<ElfSection> sections;  // by ELF index; element 0 is the null section
  std::vector<ElfSymbol> symbols;    // by ELF index

  // The one section of that name, or nullptr.
  const ElfSection* find(std::string_view name) const;
  // The index of `section` in sections.
  uint32_t index_of(const ElfSection& section) const {
    return static_cast<uint32_t>(&section - sections.data());
  }
};

// ENOEXEC: not a 64-bit little-endian relocatable BPF object. EFBIG: larger than kMaxObjectBytes.
// EINVAL: damaged.
Result<ElfFile> read_elf(std::span<const std::byte> image_untrusted);

// Names of sections, symbols and types that are longer than this are refused.
inline constexpr size_t kMaxNameLength = 1023;
bool is_printable(std::string_view text);

// Sections whose name is `prefix` or `prefix` followed by a dot and more (".data", ".data.hot").
bool in_family(std::string_view name, std::string_view prefix);

}  // namespace uarena::jit
