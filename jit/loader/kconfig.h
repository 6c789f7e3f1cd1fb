// Values of the kernel's configuration that the object asks for: extern variables in `.kconfig`.
// They become a read-only map of that name, as libbpf makes it. A weak one that is not known is 0;
// any other is refused, but only where a program reads it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/base/result.h"
#include "jit/loader/btf_view.h"
#include "jit/loader/elf_file.h"
#include "jit/object.h"

namespace uarena::jit {

struct Kconfig {
  size_t map = 0;  // index into Object::maps; meaningless when there are no values
  struct Value {
    uint32_t offset = 0;
    std::string refused;  // why it can't be read; empty: it can
  };
  std::map<std::string_view, Value> values;
};

// Appends the map, if the object asks for any value. EINVAL: the types are damaged.
Result<Kconfig> add_kconfig(const ElfFile& elf, const BtfView& btf, std::vector<MapDef>& maps);

}  // namespace uarena::jit
