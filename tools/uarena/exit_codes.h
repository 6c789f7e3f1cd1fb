// What a script learns from the exit status of `uarena`, and how an Error becomes one.
//
// The broker says why a request failed (abi.h, enum uarena_why); where it only says "general", a
// few errnos speak for themselves. A status is never invented from text.
#pragma once

#include <cerrno>

#include "ipc/base/result.h"

namespace uarena::cli {

// The values are a promise to scripts (docs/man/uarena.1).
enum class ExitCode : int {
  ok = 0,
  failed = 1,
  usage = 2,
  not_found = 3,
  permission = 4,
  unreachable = 5,
  version = 6,
  rejected = 7,
  quota = 8,
};

inline ExitCode exit_code_of(const Error& error) {
  switch (error.why) {
    case Why::usage:
      return ExitCode::usage;
    case Why::not_found:
      return ExitCode::not_found;
    case Why::permission:
      return ExitCode::permission;
    case Why::unreachable:
      return ExitCode::unreachable;
    case Why::version:
      return ExitCode::version;
    case Why::rejected:
      return ExitCode::rejected;
    case Why::quota:
      return ExitCode::quota;
    case Why::general:
      break;
  }
  switch (error.code) {
    case EACCES:
    case EPERM:
      return ExitCode::permission;
    case ECONNREFUSED:
    case ECONNRESET:
    case ENOTCONN:
    case EPIPE:
      return ExitCode::unreachable;
    case EPROTONOSUPPORT:
      return ExitCode::version;
    case EDQUOT:
      return ExitCode::quota;
    default:
      // ENOENT alone stays "failed": it may be a file, a section, anything; only the one who
      // looked can say that the object asked for does not exist.
      return ExitCode::failed;
  }
}

}  // namespace uarena::cli
