// A client touched a page that was not there. What the kernel would do decides (K26-K30): a free or
// reserved page is allocated, unless the arena is SEGV_ON_FAULT; a page that is allocated but
// absent (a client punched it, or a predecessor died between entering and claiming it) comes back
// as zeros.
#include <algorithm>

#include "broker/arena_impl.h"
#include "broker/death_point.h"

namespace uarena::broker {

FaultDecision Arena::fault(uint64_t address) {
  Impl& in = *impl_;
  if (address - user_vm_start() >= size()) return FaultDecision::refuse;
  Impl::Guard guard(in.lock);
  uint32_t made = 0;
  if (in.ensure_present(in.page_of(address), made) != 0) return FaultDecision::refuse;
  return made != 0 ? FaultDecision::installed : FaultDecision::present;
}

Result<uint32_t> Arena::prefault(uint64_t address, uint64_t length) {
  Impl& in = *impl_;
  const uint64_t offset = address - user_vm_start();
  if (!page_aligned(address))
    return fail(EINVAL, "address {:#x} is no multiple of {}", address, kPageSize);
  if (offset > size() || length > size() - offset)
    return fail(EINVAL, "{} bytes at {:#x} lie outside the arena's {} bytes at {:#x}", length,
                address, size(), user_vm_start());
  const uint64_t end = round_up_to_page(offset + length) >> kPageShift;
  uint32_t made = 0;
  for (uint64_t page = offset >> kPageShift; page < end; page += Impl::kBatch) {
    Impl::Guard guard(in.lock);
    const PageRange batch = {static_cast<uint32_t>(page),
                             static_cast<uint32_t>(std::min<uint64_t>(Impl::kBatch, end - page))};
    const int error = in.prefault_batch(batch, made);
    if (error == EFAULT)
      return fail(EFAULT, "a page of {:#x}-{:#x} is absent, and the arena is SEGV_ON_FAULT",
                  in.address_of(batch.first), in.address_of(batch.first) + batch.count * kPageSize);
    if (error == EDQUOT)
      return fail(Why::quota, EDQUOT, "uid {} may have no more pages: {} are new",
                  in.table.state_file().access().uid, made);
    if (error != 0) return fail_errno(error, "cannot make pages after {} new ones", made);
  }
  return made;
}

int Arena::Impl::prefault_batch(PageRange pages, uint32_t& made) {
  unsigned char present[kBatch];
  view.presence(pages, present);
  for (uint32_t page = pages.first; page < pages.end();) {
    uint32_t run = 1;
    int error = 0;
    if (table.entry(page).state() == PageState::free && !segv_on_fault()) {
      while (page + run < pages.end() && table.entry(page + run).state() == PageState::free) ++run;
      error = fill_free({page, run}, made);
    } else if (table.entry(page).state() != PageState::allocated ||
               present[page - pages.first] == 0) {
      error = ensure_present(page, made);
    }
    if (error != 0) return error;
    page += run;
  }
  return 0;
}

int Arena::Impl::ensure_present(uint32_t page, uint32_t& made) {
  const PageState state = table.entry(page).state();
  if (state == PageState::allocated) {
    if (!segv_on_fault() || !being_freed(page)) return claim_allocated(page, made);
    // K30: gone is gone, though the table does not say so yet; until then it is there.
    unsigned char present = 0;
    view.presence({page, 1}, &present);
    return present != 0 ? 0 : EFAULT;
  }
  if (segv_on_fault()) return EFAULT;                                  // K30
  if (state == PageState::reserved) return fill_reserved(page, made);  // K29
  return fill_free({page, 1}, made);
}

int Arena::Impl::claim_allocated(uint32_t page, uint32_t& made) {
  const KernelView::Claimed claimed = view.claim({page, 1});
  if (claimed.pages == 0) return claimed.error == EEXIST ? 0 : claimed.error;
  ++made;
  note_served({page, 1});
  return 0;
}

// Whoever works on these pages without the lock must leave them as they are.
void Arena::Impl::note_served(PageRange pages) {
  for (Work* at : work)
    for (uint64_t page = pages.first; page < pages.end(); ++page)
      if (page - at->pages.first < at->pages.count)
        at->served.push_back(static_cast<uint32_t>(page));
}

// Free pages that somebody else made are taken as they are: that is what the fault asked for.
int Arena::Impl::fill_free(PageRange pages, uint32_t& made) {
  if (auto charged = charge(pages.count); !charged) return charged.error().code;
  UARENA_DEATH_POINT("fault.charged");
  table.take(pages, Origin::fault);
  UARENA_DEATH_POINT("fault.entered");
  for (uint32_t done = 0; done < pages.count;) {
    const PageRange rest = {pages.first + done, pages.count - done};
    const KernelView::Claimed claimed = view.claim(rest);
    done += claimed.pages;
    made += claimed.pages;
    UARENA_DEATH_POINT("fault.claimed");
    if (claimed.error == EEXIST) {
      ++done;
    } else if (claimed.error != 0) {
      uncharge(table.release({pages.first + done, pages.count - done}));
      note_served({pages.first, done});
      return claimed.error;
    }
  }
  note_served(pages);
  return 0;
}

int Arena::Impl::fill_reserved(uint32_t page, uint32_t& made) {
  if (auto charged = charge(1); !charged) return charged.error().code;
  table.assign({page, 1}, Origin::fault);
  UARENA_DEATH_POINT("fault.reserved_entered");
  const KernelView::Claimed claimed = view.claim({page, 1});
  made += claimed.pages;
  if (claimed.error == 0 || claimed.error == EEXIST) {
    note_served({page, 1});
    return 0;
  }
  table.assign({page, 1}, Origin::reserved);
  uncharge(1);
  return claimed.error;
}

}  // namespace uarena::broker
