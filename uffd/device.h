// How this process gets a userfaultfd of its own: by userfaultfd(2), and where that gives none for
// faults of system calls, from a /dev/userfaultfd that somebody who may open it has passed to us.
#pragma once

#include "ipc/base/fd.h"
#include "uffd/features.h"

namespace uarena::uffd {

// The device, open, and known to be it. Before the first features() and before other threads.
void use_device(Fd device);
// Empty when none was passed.
const Fd& inherited_device();

struct Opened {
  Fd fd;  // close-on-exec, non-blocking; no ioctl made on it
  Access access = Access::none;
  bool by_device = false;
  int error = 0;  // why there is none
};
Opened open_userfaultfd();

}  // namespace uarena::uffd
