// The inside of an arena, shared by arena*.cc and nobody else. One lock guards the page table, the
// charge and the list of claims under way; it is never held over more than kBatch pages' worth of
// system calls, so that a fault waits for a fraction of a millisecond at most, whatever a program
// or another client does at that moment (only writing the table entries of a huge allocation, some
// nanoseconds each, is one piece).
//
// The order of things, for a death at any moment and for others who look in between:
//   allocate: charge, table says allocated (published), then the pages are claimed. Dead in
//             between: an allocated page that is absent; a fault on it claims it.
//   free:     the pages are punched, then the table says free. Dead in between: the same.
// So a page that the table calls free is absent, unless somebody other than us made it.
#pragma once

#include <condition_variable>
#include <mutex>
#include <vector>

#include "broker/arena.h"
#include "broker/fair_mutex.h"
#include "broker/kernel_view.h"
#include "broker/memory_file.h"
#include "broker/page_table.h"

namespace uarena::broker {

struct Arena::Impl {
  using Guard = std::unique_lock<FairMutex>;

  // Pages per turn under the lock where each costs system calls: about 100 us.
  static constexpr uint32_t kBatch = 64;

  // A range that the table calls allocated and whose pages are being claimed without the lock.
  // `served` are pages that a fault has claimed meanwhile.
  struct Claiming {
    PageRange pages;
    std::vector<uint32_t> served = {};
  };

  Impl(ArenaIdentity who, MemoryFile memory, KernelView kernel_view, PageTable pages,
       Charge for_arena, Charge for_pages);

  bool segv_on_fault() const { return (identity.attr.map_flags & kBpfFSegvOnFault) != 0; }
  uint32_t page_count() const { return identity.attr.max_entries; }
  uint64_t address_of(uint32_t page) const { return identity.user_vm_start + page * kPageSize; }
  // By the low 32 bits, as the kernel computes it (K35); may lie behind the arena's end.
  uint32_t page_of(uint64_t address) const {
    return static_cast<uint32_t>(address - identity.user_vm_start) >> kPageShift;
  }

  // arena_alloc.cc. The caller holds the lock; it is released while pages are claimed.
  // 0: the pages, which were free, are allocated and zero. Else nothing is allocated: EEXIST (a
  // page was there already), ENOMEM or ENOSPC, or the errno of a refused charge.
  int allocate(Guard& guard, PageRange pages, Origin origin);
  int claim_without_lock(Guard& guard, Claiming& claiming, uint32_t& done);
  void give_up(const Claiming& claiming, uint32_t done, int error);
  void release_but(PageRange pages, const std::vector<uint32_t>& served);
  // At most kBatch pages: out of the file, then free in the table. The caller holds the lock.
  void free_batch(PageRange pages);
  bool being_claimed(PageRange pages) const;

  // arena_fault.cc. The caller holds the lock. 0 when the page is there now; EFAULT: nobody may
  // make it (SEGV_ON_FAULT); or why it could not be made. Counts pages that are new.
  int ensure_present(uint32_t page, uint32_t& made);
  int claim_allocated(uint32_t page, uint32_t& made);
  int fill_free(PageRange pages, uint32_t& made);
  int fill_reserved(uint32_t page, uint32_t& made);
  int prefault_batch(PageRange pages, uint32_t& made);

  const ArenaIdentity identity;
  MemoryFile file;
  KernelView view;
  jit::ArenaView arena_view;
  Charge arena_charge;

  mutable FairMutex lock;  // guards everything below
  PageTable table;
  Charge page_charge;
  std::vector<Claiming*> claims;
  std::condition_variable_any claim_done;
  uint64_t faults = 0;
  bool tampering_logged = false;
};

}  // namespace uarena::broker
