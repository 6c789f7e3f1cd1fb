// Every function that the verifier knows, with its prototype: helpers as linux/bpf.h numbers them,
// kernel functions by name. What is in the table with a function can be called; what has none is
// known, so that the answer to a program that wants it can say more than a number.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "jit/function.h"

namespace uarena::jit {

std::span<const FunctionDesc> catalogue();
// nullptr: not in the table.
const FunctionDesc* find_kfunc(std::string_view name);
// All helpers by number; null where the table has none, or none with a function.
std::vector<const FunctionDesc*> offered_helpers();
// The kernel's name of a helper ("bpf_map_lookup_elem"), also of those not in the table.
std::string_view helper_name(int32_t number);

}  // namespace uarena::jit
