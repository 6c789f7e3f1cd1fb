// Words for numbers of the wire format, the same for everyone who shows them; "unknown" for those
// of a broker that knows more than we do.
#pragma once

#include <cstdint>
#include <string_view>

namespace uarena::ipc {

std::string_view fault_name(uint32_t fault);    // UARENA_FAULT_*
std::string_view origin_name(uint32_t origin);  // UARENA_ORIGIN_*
std::string_view cut_off_name(uint32_t why);    // UARENA_CUT_OFF_*

}  // namespace uarena::ipc
