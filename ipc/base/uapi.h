// Kernel constants that Debian 12's headers do not have, or that live in a header which only one
// room may include. Each is user-space ABI of Linux and never changes.
#pragma once

#include <sys/syscall.h>

namespace uarena {

// userfaultfd(2): faults from kernel mode are not delivered (<linux/userfaultfd.h>, Linux 5.11).
inline constexpr int kUffdUserModeOnly = 1;

// ioctl(2) on an open /dev/userfaultfd: a userfaultfd that takes faults from kernel mode, whoever
// asks (USERFAULTFD_IOC_NEW, Linux 6.1).
inline constexpr unsigned long kUserfaultfdIocNew = 0xAA00;

// memfd_create(2): never executable, and no way to make it so (Linux 6.3).
inline constexpr unsigned kMfdNoexecSeal = 0x0008;

// getsockopt(2), level SOL_SOCKET: a pidfd of the peer (Linux 6.5).
inline constexpr int kSoPeerPidfd = 77;

// madvise(2): touching these pages is a SIGSEGV, and EFAULT for system calls, without a mapping of
// their own (MADV_GUARD_INSTALL, Linux 6.13; on files 6.15).
inline constexpr int kMadvGuardInstall = 102;

}  // namespace uarena
