// Two kinds of failure, kept apart. What a peer, a file or the kernel did is a value: Result<T>
// carries either the answer or an Error with an errno and a sentence that says what was wrong and
// what is allowed. What only a bug of ours can cause is an assertion: UARENA_ASSERT prints the
// state that broke and aborts.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <expected>
#include <string>
#include <utility>

namespace uarena {

// Why a request failed, where errno alone does not tell. The values are wire format (abi.h,
// UARENA_WHY_*) and choose the exit code of the `uarena` command.
enum class Why : unsigned {
  general = 0,
  usage = 1,
  not_found = 2,
  permission = 3,
  unreachable = 4,
  version = 5,
  rejected = 6,
  quota = 7,
};

struct Error {
  int code = EINVAL;    // a positive errno
  std::string message;  // one sentence, no newline at the end
  Why why = Why::general;
};

template <typename T>
using Result = std::expected<T, Error>;

// return fail(EINVAL, "max_entries is {}, allowed are 1..{}", n, max);
template <typename... Args>
std::unexpected<Error> fail(int code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

template <typename... Args>
std::unexpected<Error> fail(Why why, int code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{code, fmt::format(format, std::forward<Args>(args)...), why});
}

// errno's own text, "error 524" where it has none: the kernel has numbers that no header knows.
std::string errno_text(int code);

// The same with errno's own text at the end; `code` is read before anything can change it.
template <typename... Args>
std::unexpected<Error> fail_errno(int code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(
      Error{code, fmt::format(format, std::forward<Args>(args)...) + ": " + errno_text(code)});
}

[[noreturn]] void assertion_failed(const char* file, int line, const char* expression,
                                   const std::string& state);

}  // namespace uarena

// UARENA_ASSERT(condition, "format", args…): a bug of ours, never a peer's mistake.
#define UARENA_ASSERT(condition, ...)                                                         \
  do {                                                                                        \
    if (!(condition)) [[unlikely]]                                                            \
      ::uarena::assertion_failed(__FILE__, __LINE__, #condition, ::fmt::format(__VA_ARGS__)); \
  } while (false)
