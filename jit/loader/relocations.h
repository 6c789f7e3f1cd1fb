// What each instruction of a function refers to. The compiler leaves holes with relocations (K81):
// the address of a map, a variable or a function, a call of another function or of the kernel. Here
// every hole is filled with an index into the Object, or the object is refused; an instruction that
// claims to be filled already (a file descriptor, a kernel function's number) is refused as well,
// since it would be a number from outside.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "ipc/base/result.h"
#include "jit/loader/btf_view.h"
#include "jit/loader/data_sections.h"
#include "jit/loader/elf_file.h"
#include "jit/loader/functions.h"
#include "jit/loader/kconfig.h"
#include "jit/object.h"

namespace uarena::jit {

// A call of another function of the object, or an ld_imm64 of its address (a callback). The
// distance is known only once both have their places.
struct FunctionUse {
  uint32_t insn = 0;    // counted from the function's start
  size_t function = 0;  // index into FunctionTable::all()
};

struct FunctionCode {
  std::vector<Insn> insns;
  std::vector<FunctionUse> uses;  // ascending insn
};

// Everything that a relocation can point to.
struct Targets {
  const ElfFile& elf;
  const BtfView& btf;
  const FunctionTable& functions;
  const std::vector<MapDef>& defs;
  const std::map<uint64_t, size_t>& maps;  // offset in .maps -> index into defs
  const std::map<uint32_t, DataSection>& data;
  const Kconfig& kconfig;
};

// Reads and resolves one function. Kernel functions that it calls are added to `kfuncs`, each once.
// EINVAL: names the function, the instruction and the symbol.
Result<FunctionCode> resolve_function(const Function& function, const Targets& targets,
                                      std::vector<KfuncRef>& kfuncs);

}  // namespace uarena::jit
