// See last_error.h.
#include "ipc/client/last_error.h"

namespace uarena::ipc {

LastError& last_error() {
  thread_local LastError error;
  return error;
}

int keep_error(Error error) noexcept {
  LastError& last = last_error();
  last.message = std::move(error.message);  // moves do not throw
  last.why = error.why;
  return -error.code;
}

}  // namespace uarena::ipc
