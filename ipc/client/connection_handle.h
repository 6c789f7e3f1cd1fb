// What hides behind the C library's `uarena_conn *`.
#pragma once

#include <map>
#include <mutex>

#include "ipc/client/attachment.h"
#include "ipc/client/inspect.h"

// Five functions have the name of a struct in abi.h (see request_fields.h).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "uarena.h"
#pragma GCC diagnostic pop

struct uarena_conn {
  explicit uarena_conn(uarena::ipc::Inspector inspector) : broker(std::move(inspector)) {}

  uarena::ipc::Channel& control() { return broker.link().control(); }

  uarena::ipc::Inspector broker;
  // Held while attaching and detaching, so that two threads can't do both at once for one arena.
  std::mutex mutex;
  std::map<uint64_t, uarena::ipc::Attachment> attachments;
};

namespace uarena::ipc {

// EINVAL for a null pointer.
inline Result<void> check_conn(const uarena_conn* conn) {
  if (conn == nullptr) return fail(Why::usage, EINVAL, "the connection is NULL");
  return {};
}

inline Result<void> check_text(const char* what, const char* text) {
  if (text == nullptr) return fail(Why::usage, EINVAL, "{} is NULL", what);
  return {};
}

}  // namespace uarena::ipc
