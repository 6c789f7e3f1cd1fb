// Guards (MADV_GUARD_INSTALL): page table entries that make touching a page a SIGSEGV with
// SEGV_MAPERR, and EFAULT for system calls, before any userfaultfd is asked. A client whose range
// is full of them has the kernel's own SEGV_ON_FAULT, at the kernel's speed. Whether guards and
// userfaultfd go together the way we need it is tried, since later kernels may decide otherwise.
#pragma once

namespace uarena::uffd {

// With a userfaultfd on which UFFDIO_API was made, on pages of its own: guards can be installed on
// a shared mapping of a memory file that is registered, UFFDIO_CONTINUE puts a page over its guard
// and leaves the neighbours theirs, and a guard can be installed over that page again.
bool guards_work(int userfaultfd);

}  // namespace uarena::uffd
