// What a global function says of itself: the verifier checks it once, on its own, and believes only
// its type and its tags (K75). The rules are the kernel's: a number is a number; a pointer is the
// context (by the name of its structure, or `arg:ctx`), an arena pointer (`arg:arena`, or a type
// that is tagged "arena"), or memory of the size of what it points to, which may be NULL unless
// `arg:nonnull` says otherwise.
#pragma once

#include <optional>
#include <vector>

#include "ipc/base/result.h"
#include "jit/loader/btf_view.h"
#include "jit/object.h"
#include "jit/program_type.h"

namespace uarena::jit {

struct Signature {
  std::vector<Param> params;
  bool returns_scalar = true;
};

// Of the BTF FUNC `function`, when a program of type `program` calls it. What is not understood is
// Param::Kind::unsupported: it matters only when the function is verified. EINVAL: `function` is
// not the id of a function.
Result<Signature> signature_of(const BtfView& btf, uint32_t function,
                               std::optional<ProgramType> program);

}  // namespace uarena::jit
