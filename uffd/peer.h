// Who is at the other end: what SO_PEERCRED and a pidfd said when the client connected. The pid
// alone can be someone else's later; together with a pidfd that is alive it can not.
#pragma once

#include <sys/types.h>

#include "ipc/base/fd.h"

namespace uarena::uffd {

struct Peer {
  pid_t pid = 0;  // in our pid namespace
  Fd pidfd;
  uid_t uid = 0;
};

}  // namespace uarena::uffd
