// An arena whose clients' faults are `direct`: no client is registered with a userfaultfd, the
// kernel fills what they touch, and nobody tells us. The file knows: a page that is in it and that
// the table calls free (or reserved, K29) was touched by a client, and is entered as the client's
// when we come across it: before an allocation of several pages (which otherwise would claim some,
// meet a taken one, and could not give back the claimed ones without punching what a client may
// have stored there), where pages are reserved, and where somebody looks at the arena. Of a single
// page, and of a page that is touched after we have looked, the claim itself tells
// (KernelView::claim).
//
// The file is asked with mincore(2): it takes no lock that whoever has the file can keep, as
// SEEK_DATA would.
#include <algorithm>

#include "broker/arena_impl.h"

namespace uarena::broker {
namespace {

// Pages looked at under the lock in one go: about 40 us, and as much again where every other page
// is new to us.
constexpr uint32_t kLook = 512;

}  // namespace

Result<void> Arena::Impl::charge(uint32_t pages) {
  if (auto memory = memory_charge.grow(pages); !memory || direct()) return memory;
  auto charged = page_charge.grow(pages);
  if (!charged) memory_charge.shrink(pages);
  return charged;
}

void Arena::Impl::charge_anyway(uint32_t pages) {
  memory_charge.grow_anyway(pages);
  if (!direct()) page_charge.grow_anyway(pages);
}

// What was charged and has turned out to be a client's is no page of ours either.
void Arena::Impl::uncharge(uint32_t pages) {
  if (!direct()) page_charge.shrink(pages);
  const uint32_t ours = made_by_broker(table, direct());
  UARENA_ASSERT(ours <= memory_charge.amount(), "arena {}: {} pages are ours, {} are charged",
                identity.id, ours, memory_charge.amount());
  memory_charge.shrink(memory_charge.amount() - ours);
}

uint64_t Arena::Impl::room() const {
  return direct() ? memory_charge.room() : std::min(memory_charge.room(), page_charge.room());
}

uint32_t made_by_broker(const PageTable& table, bool direct) {
  const PagesByOrigin pages = table.counts();
  return direct ? pages.of(Origin::program) + pages.of(Origin::fault) : pages.allocated();
}

// One page needs no look. After a collision there may be more taken pages ahead, so we look twice
// as far each time: an allocation finds its way through an arena in which clients have touched
// every other page with a dozen looks.
PageRange Arena::Impl::to_look_at(PageRange pages, int collisions) const {
  if (collisions == 0) return pages.count == 1 ? PageRange{pages.first, 0} : pages;
  const uint64_t ahead = uint64_t{kLook} << std::min(collisions - 1, 20);
  const uint64_t left = page_count() - pages.first;
  return {pages.first,
          static_cast<uint32_t>(std::min(std::max<uint64_t>(ahead, pages.count), left))};
}

uint32_t Arena::Impl::enter_touched(Guard& guard, PageRange pages) {
  uint32_t entered = 0;
  for (uint64_t first = pages.first; first < pages.end(); first += kLook) {
    if (first != pages.first) {  // others had to wait
      guard.unlock();
      guard.lock();
    }
    entered += enter_touched_batch(
        {static_cast<uint32_t>(first),
         static_cast<uint32_t>(std::min<uint64_t>(kLook, pages.end() - first))});
  }
  return entered;
}

uint32_t Arena::Impl::enter_touched_batch(PageRange pages) {
  unsigned char present[kLook];
  view.presence(pages, present);
  const auto touched = [&](uint64_t page) {
    return page < pages.end() && present[page - pages.first] != 0 &&
           unknown(static_cast<uint32_t>(page));
  };
  uint32_t entered = 0;
  for (uint64_t page = pages.first; page < pages.end(); ++page) {
    if (!touched(page)) continue;
    const auto first = static_cast<uint32_t>(page);
    const PageState state = table.entry(first).state();
    while (touched(page + 1) && table.entry(static_cast<uint32_t>(page + 1)).state() == state)
      ++page;
    const PageRange run = {first, static_cast<uint32_t>(page + 1 - first)};
    if (state == PageState::free)
      table.take(run, Origin::client);
    else
      table.assign(run, Origin::client);
    entered += run.count;
  }
  return entered;
}

// Pages that somebody is making or punching at this moment are his.
bool Arena::Impl::unknown(uint32_t page) const {
  return table.entry(page).state() != PageState::allocated && !worked_on({page, 1});
}

}  // namespace uarena::broker
