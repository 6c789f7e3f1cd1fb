// One userfaultfd and what can be done with it, errors as values. It comes from two places: made by
// the broker for its own mapping (create_own), or handed over by a client for a range of the
// client's memory (adopt_untrusted). Either way the descriptor is closed by this object only.
//
// Threads: all calls but moving and destroying are plain ioctls and may come from any thread.
// Addresses and lengths are whole pages of the process that made the descriptor.
#pragma once

#include <cstdint>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"

namespace uarena::uffd {

// Features to ask for; the values are the kernel's (checked against its header).
inline constexpr uint64_t kFeatureSigbus = 1 << 7;    // a missing page is a SIGBUS, not a message
inline constexpr uint64_t kFeatureThreadId = 1 << 8;  // messages name the faulting thread
inline constexpr uint64_t kFeatureExactAddress = 1 << 11;

// How far an operation over a range came. error is 0 when all of it was done, else the errno of the
// first page that was not: address + done.
struct RangeResult {
  uint64_t done = 0;  // bytes
  int error = 0;
};

class Userfaultfd {
 public:
  Userfaultfd() = default;
  Userfaultfd(Userfaultfd&&) = default;
  Userfaultfd& operator=(Userfaultfd&&) = default;

  // For mappings of this process. Full if we may, else user mode only, which for kFeatureSigbus is
  // no difference: a system call that meets a missing page gets EFAULT either way.
  // ENOTSUP when a feature is missing, EPERM/ENOSYS when there is no userfaultfd at all.
  static Result<Userfaultfd> create_own(uint64_t features);

  // For a descriptor that a client sent, over exactly [address, address + length) of that client.
  // Makes the one UFFDIO_API call (thread ids and exact addresses where the kernel has them) and
  // registers the range for missing pages. Before the first ioctl it is certain that the descriptor
  // is a userfaultfd. Errors: EBADF no userfaultfd; EINVAL an ioctl was made on it already, or the
  // range isn't mapped there; EBUSY, EPERM, ESRCH, ENOTSUP as their sentences say. The descriptor
  // is closed on failure.
  // `resumed`: a predecessor of ours may have got some way with it.
  static Result<Userfaultfd> adopt_untrusted(Fd fd, uint64_t address, uint64_t length,
                                             bool resumed = false);

  // One that a predecessor has set up and registered for that range. No ioctl is made. EBADF.
  static Result<Userfaultfd> take_over_untrusted(Fd fd, uint64_t address, uint64_t length);

  // EINVAL nothing mapped there, EBUSY registered with another one, EPERM not writable memory.
  Result<void> register_missing(uint64_t address, uint64_t length);
  Result<void> unregister(uint64_t address, uint64_t length);

  // Puts pages of zeros where there are none, in the memory file and in the page table, and wakes
  // who waits for them. Stops at the first page that is there already: EEXIST. EAGAIN: the owner is
  // changing its mappings and messages about that are unread. ENOENT: the range is not registered;
  // ESRCH: the process is gone; ENOMEM/ENOSPC: no memory.
  RangeResult zeropage(uint64_t address, uint64_t length);

  // Who waits for a page of the range looks again. 0 or an errno; 0 also for a process that is
  // gone.
  int wake(uint64_t address, uint64_t length);

  // Touching these pages is a SIGBUS from now on, and whoever waits for one gets it. Pages that are
  // mapped are left alone: EEXIST. It sticks to the page table of the owner: freeing or allocating
  // the page in the memory file does not change it.
  RangeResult poison(uint64_t address, uint64_t length);

  // Maps pages that are in the memory file, over poison too, and wakes who waits for them. This is
  // the only way for us to take poison back without changing data: EFAULT, and the poison stays,
  // where the file has no page, so it is called after an allocation. (The owner itself can:
  // MADV_DONTNEED drops the poison.) EEXIST where the owner has mapped the page already. Waits for
  // the owner's memory lock while he changes this mapping.
  RangeResult map_present(uint64_t address, uint64_t length);

  // Another one for the same descriptor; empty when none could be had (errno).
  Userfaultfd dup() const;

  int fd() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  // Is this inside the range that was registered last?
  bool covers(uint64_t address) const { return address - address_ < length_; }
  // Features that are on (kFeature*).
  bool has(uint64_t feature_bits) const { return (features_ & feature_bits) == feature_bits; }

 private:
  Result<void> api(uint64_t features);

  Fd fd_;
  uint64_t features_ = 0;
  uint64_t address_ = 0;
  uint64_t length_ = 0;
};

}  // namespace uarena::uffd
