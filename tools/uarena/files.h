// Small files that a command reads or writes whole: contexts for programs.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "ipc/base/result.h"

namespace uarena::cli {

// The bytes of `source`: a path, "-" for standard input, or "hex:00ff…". More than `most` bytes,
// odd or other digits: EINVAL, Why::usage; no such file: ENOENT, Why::not_found. `what` names the
// option in the sentence.
Result<std::vector<std::byte>> read_bytes(std::string_view what, const std::string& source,
                                          size_t most);

// Creates or replaces the file; "-" is standard output.
Result<void> write_bytes(std::string_view what, const std::string& target,
                         std::span<const std::byte> bytes);

}  // namespace uarena::cli
