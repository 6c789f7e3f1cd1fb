// Where the program's variables live: .bss, .data and .rodata (each with its ".name" variants)
// become internal maps of one element, .addr_space.1 becomes the first bytes of the arena
// (K79, K80). Anything else that the compiler allocates is refused rather than lost.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "ipc/base/result.h"
#include "jit/loader/btf_view.h"
#include "jit/loader/elf_file.h"
#include "jit/object.h"

namespace uarena::jit {

inline constexpr std::string_view kArenaSection = ".addr_space.1";

// What a reference to a section of variables means.
struct DataSection {
  size_t map = 0;      // index into Object::maps
  uint64_t limit = 0;  // offsets below this are inside
};

// Appends the internal maps to `maps` and puts the arena's initial bytes into the arena's MapDef.
// The result is keyed by ELF section index. E2BIG: arena variables larger than the arena. A section
// may hold locks and timers, as a map's value may (map_fields.h).
Result<std::map<uint32_t, DataSection>> add_data_sections(const ElfFile& elf, const BtfView& btf,
                                                          std::vector<MapDef>& maps);

}  // namespace uarena::jit
