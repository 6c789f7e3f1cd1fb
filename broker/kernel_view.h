// The broker's own mapping of an arena, where BPF programs work: 4 GiB + GUARD_SZ of address space
// in which any 32-bit value plus any 16-bit offset lands (K11, K48), inaccessible except for the
// memory file, which is mapped at kern_vm_start + (u32)user_vm_start.
//
// The mapping is registered with a userfaultfd of our own in MISSING mode with SIGBUS: a stray load
// of a program meets SIGBUS where there is no page, and the exception table turns that into 0
// (K49); without the registration the load would allocate the page. Nothing needs to be done here
// when pages come or go: the view follows the file. Works without privilege.
//
// The same descriptor is the arbiter of allocation: claim() makes pages of zeros exist, and fails
// where somebody, by whatever way, made one first. There is no way to take back a claim, on
// purpose: from the moment it exists, a client that maps the page may have written to it, and
// punching would wipe that.
//
// The view is not inherited by a forked child (a stray load there would allocate) and not part of
// core dumps (a dump would read 4 GiB).
//
// Thread-safe after creation.
#pragma once

#include <cstdint>

#include "broker/memory_file.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "ipc/base/result.h"
#include "uffd/userfaultfd.h"

namespace uarena::broker {

class KernelView {
 public:
  static Result<KernelView> create(const MemoryFile& file, uint64_t user_vm_start);

  uint64_t kern_vm_start() const { return reservation_.address() + kGuardSize / 2; }
  // Where byte 0 of the file is.
  uint64_t base() const { return base_; }

  // How many pages from the beginning of the range were made, and why not more: 0, EEXIST (the next
  // page is there already), ENOMEM or what else the kernel says when it has no memory for it.
  struct Claimed {
    uint32_t pages = 0;
    int error = 0;
  };
  Claimed claim(PageRange pages) const;

  // For each page of the range whether the file holds it; out.size() >= pages.count. Pages that
  // were preallocated but never touched count as absent.
  void presence(PageRange pages, unsigned char* out) const;

 private:
  KernelView(MemoryMap reservation, uint64_t base, uffd::Userfaultfd uffd)
      : reservation_(std::move(reservation)), base_(base), uffd_(std::move(uffd)) {}
  MemoryMap reservation_;
  uint64_t base_ = 0;
  // Mutable: ioctls on it change the file's pages, not the descriptor.
  mutable uffd::Userfaultfd uffd_;
};

}  // namespace uarena::broker
