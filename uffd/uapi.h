// What userfaultfd(2) of newer kernels knows and the distribution's headers (6.1) do not. Numbers
// and layouts are the kernel's ABI; each is used only after the probe (features.h) has seen it work
// on the running kernel. The only file that includes <linux/userfaultfd.h>.
#pragma once

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <cstdint>

#include "ipc/base/uapi.h"

#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON (1 << 14)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef UFFD_FEATURE_MOVE
#define UFFD_FEATURE_MOVE (1 << 16)
#endif

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

// PIDFD_THREAD (6.9): a pidfd that names one thread.
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

namespace uarena::uffd {

// What the rooms that may not include the header say instead.
static_assert(kUffdUserModeOnly == UFFD_USER_MODE_ONLY);
static_assert(kUserfaultfdIocNew == USERFAULTFD_IOC_NEW);

// UFFDIO_POISON (6.6): marks pages so that touching them is a SIGBUS.
struct UffdioPoison {
  struct uffdio_range range;
  uint64_t mode;
  int64_t updated;  // out: bytes done, or a negative errno
};
static_assert(sizeof(UffdioPoison) == 32);

inline constexpr unsigned long kUffdioPoison = _IOWR(UFFDIO, 0x08, UffdioPoison);

}  // namespace uarena::uffd
