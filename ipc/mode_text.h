// An arena's mode as people read and write it: the rights of owner, group and others, "rwxl rwx-
// r---" to read; to write, as chmod(1) takes it, "u=rwxl,g+r,o-wx", with a for all three.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ipc/base/result.h"

namespace uarena::ipc {

std::string mode_text(uint32_t mode);

// `mode` as the text changes it. EINVAL, Why::usage: says what is allowed.
Result<uint32_t> changed_mode(uint32_t mode, std::string_view text);

}  // namespace uarena::ipc
