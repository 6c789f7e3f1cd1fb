// What userfaultfd can do here: it depends on the kernel, on vm.unprivileged_userfaultfd and on our
// capabilities, and version numbers do not tell. So it is tried, once per process, on four pages of
// a memory file of our own, and everyone asks the result.
#pragma once

#include <cstdint>
#include <string>

namespace uarena::uffd {

enum class Access {
  none,            // userfaultfd(2) is refused or missing
  user_mode_only,  // faults of system calls are not ours: they get EFAULT
  full,            // both (root, CAP_SYS_PTRACE, vm.unprivileged_userfaultfd=1, or the device)
};

struct Features {
  Access access = Access::none;
  int access_errno = 0;    // why access is none
  bool by_device = false;  // what access says is thanks to an inherited /dev/userfaultfd (device.h)
  bool device = false;     // /dev/userfaultfd was inherited or can be opened: it can be passed on
  uint64_t bits = 0;       // UFFD_FEATURE_* that the kernel offers
  bool missing = false;    // MISSING mode can be registered on a memory file
  bool zeropage = false;   // and, on such a range, each of these does what it says:
  bool wake = false;
  bool poison = false;
  bool resume = false;       // UFFDIO_CONTINUE, although the range is registered MISSING only
  bool guards = false;       // guards lie over registered pages, and CONTINUE lifts one (guards.h)
  bool nowait_read = false;  // preadv2 + RWF_NOWAIT: reading can never block us (6.10)

  bool has(uint64_t feature_bits) const { return (bits & feature_bits) == feature_bits; }
  // What the fault loop cannot do without: MISSING, WAKE, nowait_read.
  bool enough_for_clients() const;
  // One line for a person: "full, thread ids, exact addresses, …; without …".
  std::string summary() const;
};

// Tries everything on a descriptor and mapping of its own; leaves nothing behind.
Features probe();

// The result of the first probe() of this process. Any thread.
const Features& features();

}  // namespace uarena::uffd
