// The kernel functions that programs may call, by name. An object asks for them in .ksyms; the
// verifier checks the arguments against their descriptions, and compiled code calls them directly.
// They run in the thread of the program and go through the same Arena functions as everyone else.
#pragma once

#include <string>
#include <vector>

#include "ipc/base/result.h"
#include "jit/object.h"
#include "jit/runtime.h"

namespace uarena::broker {

// All helpers that are offered, and the functions for Object::kfuncs, in its order. A weak one that
// is not offered is left null (the verifier rejects a call to it); any other is an error (ENOENT)
// that names it and what is offered.
Result<jit::CallTable> resolve_functions(const jit::Object& object);

}  // namespace uarena::broker
