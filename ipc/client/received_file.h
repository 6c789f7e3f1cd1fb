// What does not fit into a record comes as a file beside it. The client reads it as it reads
// everything else of the broker's: within limits, and only if it is what it should be.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"

namespace uarena::ipc {

// The extents of the largest arena, and more than any log or listing.
inline constexpr size_t kMaxReceivedFile = size_t{64} << 20;

// The whole file. EPROTO: not a regular file, or larger than kMaxReceivedFile.
Result<std::vector<std::byte>> read_file_untrusted(const Fd& file);
Result<std::string> read_text_untrusted(const Fd& file);

}  // namespace uarena::ipc
