// The service manager that started this process as part of a unit: it keeps descriptors for the
// unit's main process (its fd store), under names, until the unit is stopped. Spoken to by
// sd_notify(3), which is one-way: a unit without FileDescriptorStoreMax= drops them in silence.
#pragma once

#include <string_view>

#include "ipc/base/result.h"

namespace uarena::start {

class Manager {
 public:
  // ENOTCONN: no service manager started us.
  static Result<Manager> connect();

  // Keeps a copy of `fd` under that name, in place of all that it had under it.
  Result<void> keep(std::string_view name, int fd);
  // Lets go of all that it has under that name; success also if it has none.
  Result<void> forget(std::string_view name);
  // Returns when the manager has handled all that it was told. Without it this process could be
  // gone when the manager asks who sent the message.
  Result<void> barrier();

 private:
  Manager() = default;
};

}  // namespace uarena::start
