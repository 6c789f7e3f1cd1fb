// Why a check failed, inside the verifier: the kernel's errno and wording where it has one, and the
// instruction. The last step turns it into a Rejection with the source line (verifier.cc).
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <expected>
#include <string>
#include <utility>

namespace uarena::jit::verifier {

struct Fault {
  int code = EINVAL;  // a positive errno
  std::string text;
  size_t insn = 0;
};

template <typename T = void>
using Checked = std::expected<T, Fault>;

template <typename... Args>
std::unexpected<Fault> fault(size_t insn, int code, fmt::format_string<Args...> format,
                             Args&&... args) {
  return std::unexpected(Fault{code, fmt::format(format, std::forward<Args>(args)...), insn});
}

}  // namespace uarena::jit::verifier
