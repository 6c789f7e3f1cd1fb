// Fault-around: one fault brings the pages behind it, too (uffd/around_window.h says how many).
// They are made through the client's descriptor, which claims them in the memory file and maps them
// in one go, at half of what a claim here and a mapping there would cost.
//
// That call waits for the client's memory lock where the client changes its mapping at that moment,
// so nothing is held meanwhile, no lock and no claim that others would wait for. What happens in
// between is put in order afterwards, each page as if the client had touched it at that moment:
//   freed by somebody, then made: the page is there, so it is allocated again, by a fault (K26);
//   freed and allocated by a program: who made the page first has it, the other met EEXIST;
//   not made, for want of memory or because the client has moved its mapping: free again, unless
//   another client's fault has made it.
// Dead in between: allocated pages that are absent, and a fault on one claims it.
#include <algorithm>

#include "broker/arena_impl.h"
#include "broker/death_point.h"

namespace uarena::broker {

uint32_t Arena::fault_around(uint64_t address, uint32_t pages, const MakePages& make) {
  Impl& in = *impl_;
  PageRange taken;
  {
    const Impl::Guard guard(in.lock);
    taken = in.take_around((address - user_vm_start()) >> kPageShift, pages);
  }
  if (taken.count == 0) return 0;
  UARENA_DEATH_POINT("around.entered");
  const uint32_t made = make(in.address_of(taken.first), taken.count);
  UARENA_DEATH_POINT("around.made");
  for (uint32_t done = 0; done < taken.count;) {
    const Impl::Guard guard(in.lock);
    const bool exist = done < made;
    const uint32_t count = std::min(Impl::kBatch, (exist ? made : taken.count) - done);
    exist ? in.enter_made({taken.first + done, count})
          : in.release_absent({taken.first + done, count});
    done += count;
  }
  return made;
}

// The free pages at the beginning of the range, charged and allocated.
PageRange Arena::Impl::take_around(uint64_t first, uint32_t pages) {
  if (segv_on_fault() || first >= page_count()) return {};
  const auto begin = static_cast<uint32_t>(first);
  const auto most =
      static_cast<uint32_t>(std::min({uint64_t{pages}, page_count() - first, room()}));
  PageRange run = {begin, 0};
  while (run.count < most && table.entry(begin + run.count).state() == PageState::free &&
         !worked_on({begin + run.count, 1}))
    ++run.count;
  if (run.count == 0 || !charge(run.count)) return {};
  table.take(run, Origin::fault);
  return run;
}

void Arena::Impl::enter_made(PageRange pages) {
  for (uint64_t page = pages.first; page < pages.end(); ++page) {
    const auto at = static_cast<uint32_t>(page);
    if (table.entry(at).state() != PageState::free) continue;
    charge_anyway(1);
    table.take({at, 1}, Origin::fault);
  }
  note_served(pages);
}

void Arena::Impl::release_absent(PageRange pages) {
  unsigned char present[kBatch];
  view.presence(pages, present);
  for (uint32_t i = 0; i < pages.count; ++i) {
    const PageRange one = {pages.first + i, 1};
    const bool a_faults = table.entry(one.first) == PageEntry::allocated(Origin::fault);
    // Who works on a page decides what becomes of it.
    if (a_faults && present[i] == 0 && !worked_on(one)) uncharge(table.release(one));
  }
}

}  // namespace uarena::broker
