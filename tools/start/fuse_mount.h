// The mount of uarenafs. A mount that a sandboxed service makes is seen by nobody else, since the
// service has a mount namespace of its own, and so has this helper when it is started for one. So
// it enters the namespace of PID 1 first and mounts there; the open /dev/fuse goes to the service
// manager under the name `fuse`, and uarenafs needs no privilege at all.
//
// A connection can be served once: the kernel says INIT on it and takes one answer. So a start
// after a crash mounts anew, and takes away what is left of the predecessor, whose connection the
// manager's descriptor has kept open: calls that wait in it fail then.
#pragma once

#include <string>

#include "tools/start/manager.h"

namespace uarena::start {

// Mounts and hands over, in place of all that was mounted there. The directory is made if it is
// missing. One process, one thread: it changes the mount namespace.
Result<void> mount_fuse(Manager& manager, const std::string& directory);

// Success also if nothing is mounted there. Files that somebody has open answer ENOTCONN from when
// uarenafs has ended.
Result<void> unmount_fuse(const std::string& directory);

}  // namespace uarena::start
