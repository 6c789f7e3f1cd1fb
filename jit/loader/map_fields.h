// Locks and timers inside a map's value. The kernel finds them by the names of their types in the
// value's BTF type, and only its own functions may touch those bytes; so do we. Nested structures
// and arrays of structures are looked into; a value has at most one lock and one timer.
#pragma once

#include <vector>

#include "ipc/base/result.h"
#include "jit/loader/btf_view.h"
#include "jit/loader/elf_file.h"
#include "jit/object.h"

namespace uarena::jit {

// Of a structure type. Anything else has none. E2BIG: two of a kind. EINVAL: both kinds of locks.
Result<std::vector<MapField>> fields_of_type(const BtfView& btf, uint32_t type);

// Of the variables in a section, for locks in SEC(".data.NAME") and the like.
Result<std::vector<MapField>> fields_of_section(const BtfView& btf, const ElfFile& elf,
                                                const ElfSection& section);

}  // namespace uarena::jit
