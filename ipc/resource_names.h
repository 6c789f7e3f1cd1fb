// What users are charged for, as configuration, messages and `uarena daemon status` call it, in the
// order of enum uarena_resource.
#pragma once

#include <array>
#include <string_view>

#include "ipc/abi_accounts.h"

namespace uarena::ipc {

inline constexpr std::array<std::string_view, UARENA_RESOURCES> kResourceNames = {
    "pages",       "arenas",         "programs", "connections",
    "descriptors", "pending_faults", "cpu_ms",   "connects"};

}  // namespace uarena::ipc
