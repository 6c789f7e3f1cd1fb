// Small files that a command reads or writes whole: contexts for programs.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"

namespace uarena::cli {

// The bytes of `source`: a path, "-" for standard input, or "hex:00ff…". More than `most` bytes,
// odd or other digits: EINVAL, Why::usage; no such file: ENOENT, Why::not_found. `what` names the
// option in the sentence.
Result<std::vector<std::byte>> read_bytes(std::string_view what, const std::string& source,
                                          size_t most);

// A file to be created or replaced; "-" is standard output. It is opened before the work whose
// result it takes, so that a place that can't be written to is known in time, and keeps what it
// held until write().
class OutputFile {
 public:
  static Result<OutputFile> open(std::string_view what, const std::string& target);
  Result<void> write(std::span<const std::byte> bytes);

 private:
  OutputFile(std::string name, Fd fd, bool replace)
      : name_(std::move(name)), fd_(std::move(fd)), replace_(replace) {}
  std::string name_;  // the option and the file, for errors
  Fd fd_;
  bool replace_;
};

}  // namespace uarena::cli
