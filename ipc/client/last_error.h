// What uarena_error(), uarena_why() and uarena_log() tell: the calling thread's last failure, and
// the one place at which C++ errors, thrown ones too, become numbers of C.
#pragma once

#include <cstdint>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "ipc/base/result.h"

namespace uarena::ipc {

struct LastError {
  std::string message;
  Why why = Why::general;
  std::string log;
};

// The calling thread's.
LastError& last_error();

// Keeps the error for this thread; returns its -errno.
int keep_error(Error error) noexcept;

// Runs `call`, which returns Result<int64_t> (or of a smaller integer): its value, or -errno.
template <typename Call>
int64_t guarded(Call&& call) noexcept {
  try {
    auto result = std::forward<Call>(call)();
    if (result) return static_cast<int64_t>(*result);
    return keep_error(std::move(result.error()));
  } catch (const std::bad_alloc&) {
    return keep_error({ENOMEM, "out of memory", Why::general});
  } catch (const std::exception&) {
    return keep_error({EIO, "internal error", Why::general});
  }
}

}  // namespace uarena::ipc
