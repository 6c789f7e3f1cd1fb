// Puts programs together: the entry, then every function that it reaches, each once, in the order
// in which they are first called. References are resolved on the way, distances of calls are
// relative to the new places.
#pragma once

#include <vector>

#include "ipc/base/result.h"
#include "jit/loader/functions.h"
#include "jit/loader/line_info.h"
#include "jit/loader/relocations.h"
#include "jit/object.h"

namespace uarena::jit {

// The kernel verifies at most a million instructions; an object whose programs have more than that
// altogether (functions count once per program that uses them) is refused.
inline constexpr size_t kMaxLinkedInsns = 1'000'000;
// And functions, counted the same way: each has a name and the texts of its parameters. The kernel
// allows 256 per program.
inline constexpr size_t kMaxLinkedFunctions = 65'536;

struct Linked {
  std::vector<ProgramDef> programs;  // one per function that is a program
  std::vector<KfuncRef> kfuncs;      // that they call
};

// Functions that no program reaches are never looked at, so what they refer to does not matter.
// E2BIG: larger than these limits. Otherwise what resolve_function says.
Result<Linked> link_programs(const Targets& targets, const ExtInfo& info);

}  // namespace uarena::jit
