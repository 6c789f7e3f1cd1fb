// The inside of an arena, shared by arena*.cc and nobody else. One lock guards the page table, the
// charge and the list of claims and frees under way; it is never held over more than kBatch pages'
// worth of system calls, so that a fault waits for a fraction of a millisecond at most, whatever a
// program or another client does at that moment (only writing the table entries of a huge
// allocation, some nanoseconds each, is one piece). Nor is it held over a system call that takes
// the file's inode lock, as punching does: whoever has the file can hold that lock by a write that
// hangs in a page fault, or by a fallocate of 4 GiB.
//
// The order of things, for a death at any moment and for others who look in between:
//   allocate: charge, table says allocated (published), then the pages are claimed. Dead in
//             between: an allocated page that is absent; a fault on it claims it.
//   free:     the pages are punched, then the table says free. Dead in between: the same. A page
//             that a fault made in between stays, as the fault's.
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
#include "broker/page_watcher.h"

namespace uarena::broker {

// What an arena's owner pays for it.
struct ArenaCharges {
  static constexpr uint64_t kDescriptors = 3;  // memory file, state file, kernel view's userfaultfd
  Charge arena;
  Charge descriptors;
  Charge pages;
  Charge memory;  // of the broker's
};

// How many of the allocated pages are memory of the broker, not of the client that touched them.
uint32_t made_by_broker(const PageTable& table, bool direct);

struct Arena::Impl {
  using Guard = std::unique_lock<FairMutex>;

  // Pages per turn under the lock where each costs system calls: about 100 us.
  static constexpr uint32_t kBatch = 64;

  // A range on which somebody works without the lock. Claiming: the table calls its pages
  // allocated, and they are being made. Freeing: whatever the table calls them, they are being
  // punched. Nobody else allocates, reserves or frees there; `served` are pages that a fault has
  // made meanwhile.
  struct Work {
    PageRange pages;
    bool freeing = false;
    std::vector<uint32_t> served = {};
  };

  Impl(ArenaIdentity who, MemoryFile memory, KernelView kernel_view, PageTable pages,
       ArenaCharges charges, ArenaFaults what_faults_come_to);

  bool direct() const { return identity.faulting.way == FaultWay::direct; }
  bool segv_on_fault() const { return (identity.attr.map_flags & kBpfFSegvOnFault) != 0; }
  uint32_t page_count() const { return identity.attr.max_entries; }
  uint64_t address_of(uint32_t page) const { return identity.user_vm_start + page * kPageSize; }
  // By the low 32 bits, as the kernel computes it (K35); may lie behind the arena's end.
  uint32_t page_of(uint64_t address) const {
    return static_cast<uint32_t>(address - identity.user_vm_start) >> kPageShift;
  }

  // arena_alloc.cc. The caller holds the lock; it is released while pages are claimed.
  // 0: the pages, which were free, are allocated and zero. Else nothing is allocated: EEXIST (a
  // page was there already), ENOMEM or ENOSPC, or the errno of a refused charge, whose
  // sentence goes to `refused`.
  int allocate(Guard& guard, PageRange pages, Origin origin,
               std::optional<Error>* refused = nullptr);
  int claim_without_lock(Guard& guard, Work& claiming, uint32_t& done);
  void give_up(Guard& guard, Work& claiming, uint32_t done, int error);
  void release_but(PageRange pages, const std::vector<uint32_t>& served);
  // At most kBatch pages: out of the file, then free in the table. The caller holds the lock; it is
  // released in between.
  void free_batch(Guard& guard, PageRange pages);
  // How many pages from the beginning of the range are in the file.
  uint32_t present_at_start(PageRange pages) const;
  bool worked_on(PageRange pages) const;
  bool being_freed(uint32_t page) const;
  // Waits until nobody works on any of these pages; whether it had to.
  bool wait_for_work(Guard& guard, PageRange pages);
  // The lock is given up for good.
  void tell_allocated(Guard& guard, PageRange pages);

  // What its pages cost the owner, and of the broker's memory. In a `direct` arena the owner has
  // paid for all from the beginning, and what clients touch is their memory.
  Result<void> charge(uint32_t pages);
  void charge_anyway(uint32_t pages);
  // After the table has changed.
  void uncharge(uint32_t pages);
  // For how many more there is room.
  uint64_t room() const;

  // arena_direct.cc. The caller holds the lock, which is released now and then. Pages of the range
  // that clients have touched without our knowledge are entered as theirs; how many.
  uint32_t enter_touched(Guard& guard, PageRange pages);
  uint32_t enter_touched_batch(PageRange pages);
  bool unknown(uint32_t page) const;
  // What to look at before an allocation of these pages that met taken pages so often before.
  PageRange to_look_at(PageRange pages, int collisions) const;

  // arena_fault.cc. The caller holds the lock. 0 when the page is there now; EFAULT: nobody may
  // make it (SEGV_ON_FAULT); or why it could not be made. Counts pages that are new.
  int ensure_present(uint32_t page, uint32_t& made);
  void note_served(PageRange pages);
  int claim_allocated(uint32_t page, uint32_t& made);
  int fill_free(PageRange pages, uint32_t& made);
  int fill_reserved(uint32_t page, uint32_t& made);
  int prefault_batch(PageRange pages, uint32_t& made);

  // arena_around.cc. The caller holds the lock.
  PageRange take_around(uint64_t first, uint32_t pages);
  void enter_made(PageRange pages);
  void release_absent(PageRange pages);

  const ArenaIdentity identity;
  MemoryFile file;
  KernelView view;
  jit::ArenaView arena_view;
  Charge arena_charge;
  Charge descriptor_charge;
  const ArenaFaults faults;

  // Every run and every request looks, and is not to wait for the pages.
  mutable std::mutex access_lock;
  ArenaAccess access;  // as the state file has it

  mutable FairMutex lock;  // guards everything below
  PageTable table;
  Charge page_charge;
  Charge memory_charge;
  std::vector<Work*> work;
  std::condition_variable_any work_done;
  bool tampering_logged = false;
  std::vector<std::shared_ptr<PageWatcher>> watchers;
};

}  // namespace uarena::broker
