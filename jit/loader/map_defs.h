// The maps that a program declares in section .maps. A declaration has no data: its attributes are
// types (K78). `__uint(max_entries, 8)` is a pointer to an array of 8 elements, `__type(value, T)`
// a pointer to T, `__ulong(map_extra, V)` an enumeration with the one value V. They are read here
// and nowhere else.
#pragma once

#include <vector>

#include "ipc/base/result.h"
#include "jit/loader/btf_view.h"
#include "jit/loader/elf_file.h"
#include "jit/object.h"

namespace uarena::jit {

struct DeclaredMap {
  MapDef def;
  uint64_t offset = 0;  // of its variable in section .maps: what relocations point to
};

// EINVAL: unknown or contradictory attributes, or more than one arena (K66). The numbers are judged
// in map_limits.h, an arena's where it is made (K2-K5).
Result<std::vector<DeclaredMap>> read_map_defs(const ElfFile& elf, const BtfView& btf);

}  // namespace uarena::jit
