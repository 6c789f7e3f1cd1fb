// What a service manager passed to this process: an open /dev/fuse whose file system is mounted
// already, so that the process that serves it needs no privilege at all.
#pragma once

#include "ipc/base/fd.h"
#include "ipc/base/result.h"

namespace uarena::inspectfs {

// The descriptor that is called "fuse" (LISTEN_FDS, LISTEN_FDNAMES); none: nothing was passed.
// EINVAL: something was, and it is not one mounted /dev/fuse under that name. To be called once:
// the variables are removed.
Result<Fd> take_inherited_fuse_untrusted();

}  // namespace uarena::inspectfs
