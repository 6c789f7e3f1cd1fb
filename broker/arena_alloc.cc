// Allocating, freeing and reserving pages by the kernel's rules (K33-K41), and putting globals.
//
// An allocation can fail half-way: memory runs out, or a page is present in the file although the
// table calls it free. In an arena whose clients' faults we serve, only a client that maps or
// writes the file behind our back does the latter; where they are direct, every client that touches
// a page does (arena_direct.cc). The memory may hold what it wrote. Two kernel
// rules collide there: an allocated page is zero (K37), and a page that a client touched first is
// the client's (K26). K26 wins, for it loses no data: pages found present are entered as allocated,
// origin fault; a fixed allocation fails, "anywhere" tries the next place. Of the allocation itself
// nothing remains allocated as such, but pages that it had claimed by then exist, and a client may
// have touched them since: they are entered as origin fault, too, instead of being punched. Only
// with SEGV_ON_FAULT, where nobody may touch what he was not given, they are freed again.
#include <algorithm>
#include <utility>

#include "broker/arena_impl.h"
#include "broker/death_point.h"
#include "broker/numa.h"
#include "ipc/base/log.h"

namespace uarena::broker {
namespace {

// So many places does an allocation "anywhere" try that turn out to be filled by somebody; each try
// costs some microseconds and enters at least one more page as taken.
constexpr int kMaxCollisions = 64;

}  // namespace

uint64_t Arena::alloc_pages(uint64_t addr, uint32_t page_cnt, int node_id, uint64_t flags,
                            Origin origin, std::optional<Error>* refused) {
  Impl& in = *impl_;
  if (flags != 0 || page_cnt == 0 || page_cnt > in.page_count() || !node_allowed(node_id)) return 0;
  const bool fixed = addr != 0;  // all 64 bits: the base of a 4 GiB arena has low32 0 (K35)
  if (fixed && (!page_aligned(addr) || in.page_of(addr) > in.page_count() - page_cnt)) return 0;

  Impl::Guard guard(in.lock);
  for (int collisions = 0; collisions < kMaxCollisions;) {
    const std::optional<uint32_t> first =
        fixed ? std::optional(in.page_of(addr)) : in.table.find(page_cnt);
    if (!first || !in.table.all_free({*first, page_cnt})) return 0;
    const PageRange pages = {*first, page_cnt};
    if (in.wait_for_work(guard, pages)) continue;  // a free, which comes first
    if (in.direct()) {
      const bool found = in.enter_touched(guard, in.to_look_at(pages, fixed ? 0 : collisions)) != 0;
      if (!in.table.all_free(pages) || in.worked_on(pages)) {
        if (found) ++collisions;
        continue;
      }
    }
    const int error = in.allocate(guard, pages, origin, refused);
    if (error == 0) {
      in.tell_allocated(guard, pages);
      return in.address_of(*first);
    }
    if (fixed || error != EEXIST) return 0;
    ++collisions;
  }
  return 0;
}

void Arena::free_pages(uint64_t addr, uint32_t page_cnt) {
  Impl& in = *impl_;
  const uint64_t low = addr & 0xffffffffU & kPageMask;
  const uint64_t start = in.identity.user_vm_start & 0xffffffffU;
  if (addr == 0 || page_cnt == 0 || low < start) return;  // K38; below the arena: K39 as in 7.2
  const uint64_t first = (low - start) >> kPageShift;
  const uint64_t end = std::min<uint64_t>(first + page_cnt, in.page_count());  // K38: clipped
  for (uint64_t page = first; page < end; page += Impl::kBatch) {
    const PageRange batch = {static_cast<uint32_t>(page),
                             static_cast<uint32_t>(std::min<uint64_t>(Impl::kBatch, end - page))};
    Impl::Guard guard(in.lock);
    // Pages that an alloc has not even returned yet: it comes first. So does an earlier free.
    in.wait_for_work(guard, batch);
    in.free_batch(guard, batch);
  }
}

int Arena::reserve_pages(uint64_t addr, uint32_t page_cnt) {
  Impl& in = *impl_;
  if (page_cnt == 0 || !page_aligned(addr)) return 0;  // K41: unaligned is success, too
  const PageRange pages = {in.page_of(addr), page_cnt};
  if (pages.end() > in.page_count()) return -EINVAL;
  Impl::Guard guard(in.lock);
  if (in.direct()) in.enter_touched(guard, pages);
  do {
    if (!in.table.all_free(pages)) return -EBUSY;
  } while (in.wait_for_work(guard, pages));
  UARENA_DEATH_POINT("reserve.before");
  in.table.take(pages, Origin::reserved);
  UARENA_DEATH_POINT("reserve.entered");
  return 0;
}

Result<void> Arena::install_globals(uint64_t offset, std::span<const std::byte> bytes) {
  Impl& in = *impl_;
  if (offset > size() || bytes.size() > size() - offset)
    return fail(E2BIG, "{} bytes of globals at {:#x} do not fit the arena's {} bytes", bytes.size(),
                offset, size());
  if (bytes.empty()) return {};
  const auto first = static_cast<uint32_t>(offset >> kPageShift);
  const auto end = static_cast<uint32_t>(round_up_to_page(offset + bytes.size()) >> kPageShift);
  const PageRange pages = {first, end - first};
  {
    Impl::Guard guard(in.lock);
    if (in.direct()) in.enter_touched(guard, pages);
    in.wait_for_work(guard, pages);
    std::optional<Error> refused;
    const int error = in.table.all_free(pages)
                          ? in.allocate(guard, pages, Origin::program, &refused)
                          : int{EEXIST};
    if (refused) return std::unexpected(std::move(*refused));
    if (error == EEXIST)
      return fail(
          EBUSY,
          "pages {}-{} of arena \"{}\" are to hold globals and must be free, but some are taken",
          first, end - 1, name());
    if (error != 0) return fail_errno(error, "no {} pages for the globals", pages.count);
    in.tell_allocated(guard, pages);
  }
  return in.file.write(offset, bytes);
}

int Arena::Impl::allocate(Guard& guard, PageRange pages, Origin origin,
                          std::optional<Error>* refused) {
  if (auto charged = charge(pages.count); !charged) {
    if (refused != nullptr) *refused = charged.error();
    return charged.error().code;
  }
  UARENA_DEATH_POINT("alloc.charged");
  table.take(pages, origin);
  UARENA_DEATH_POINT("alloc.entered");
  Work claiming{pages};
  work.push_back(&claiming);
  uint32_t done = 0;
  const int error = claim_without_lock(guard, claiming, done);
  if (error != 0) {
    give_up(guard, claiming, done, error);
    uncharge(0);  // pages that are a client's, it turned out
  }
  std::erase(work, &claiming);
  work_done.notify_all();
  return error;
}

// Claims page after page; `done` tells how many exist at the end. Others may do anything meanwhile
// but free these pages: faults on them are served (and noted), since the table calls them
// allocated.
int Arena::Impl::claim_without_lock(Guard& guard, Work& claiming, uint32_t& done) {
  const PageRange pages = claiming.pages;
  while (done < pages.count) {
    guard.unlock();
    const KernelView::Claimed claimed = view.claim({pages.first + done, pages.count - done});
    guard.lock();
    done += claimed.pages;
    UARENA_DEATH_POINT("alloc.claimed");
    if (claimed.error == 0) continue;
    const bool by_fault =
        std::ranges::find(claiming.served, pages.first + done) != claiming.served.end();
    if (claimed.error != EEXIST || !by_fault) return claimed.error;
    ++done;
  }
  return 0;
}

void Arena::Impl::give_up(Guard& guard, Work& claiming, uint32_t done, int error) {
  const PageRange pages = claiming.pages;
  PageRange rest = {pages.first + done, pages.count - done};
  if (error == EEXIST) {  // the pages that somebody else made
    const uint32_t found = std::max(1U, present_at_start(rest));
    table.assign({rest.first, found}, direct() ? Origin::client : Origin::fault);
    // Around a fault they may be made a moment after somebody has freed them (arena_around.cc).
    const bool strange = !direct() && identity.faulting.around <= 1;
    if (strange &&
        !std::exchange(tampering_logged, true))  // once: whoever does it can do it all day
      log(LogLevel::warning, "arena.page_not_ours",
          {{"id", identity.id}, {"page", rest.first}, {"pages", found}});
    rest = {rest.first + found, rest.count - found};
  }
  release_but(rest, claiming.served);
  if (done == 0) return;
  if (!segv_on_fault()) {
    table.assign({pages.first, done}, Origin::fault);
    return;
  }
  for (uint32_t i = 0; i < done; i += kBatch)
    free_batch(guard, {pages.first + i, std::min(kBatch, done - i)});
}

uint32_t Arena::Impl::present_at_start(PageRange pages) const {
  unsigned char present[kBatch];
  for (uint32_t done = 0; done < pages.count;) {
    const uint32_t count = std::min(kBatch, pages.count - done);
    view.presence({pages.first + done, count}, present);
    const auto absent = std::find(present, present + count, 0);
    done += static_cast<uint32_t>(absent - present);
    if (absent != present + count) return done;
  }
  return pages.count;
}

// Pages that a fault has claimed stay, as the fault's; the others were never made.
void Arena::Impl::release_but(PageRange pages, const std::vector<uint32_t>& served) {
  std::vector<uint32_t> kept;
  for (const uint32_t page : served)
    if (page - pages.first < pages.count) kept.push_back(page);
  std::ranges::sort(kept);
  kept.push_back(static_cast<uint32_t>(pages.end()));
  uint32_t first = pages.first;
  for (const uint32_t page : kept) {
    if (page > first) uncharge(table.release({first, page - first}));
    if (page < pages.end()) table.assign({page, 1}, Origin::fault);
    first = page + 1;
  }
}

void Arena::Impl::free_batch(Guard& guard, PageRange pages) {
  Work freeing{pages, true};
  work.push_back(&freeing);
  guard.unlock();
  // Also where the table knows of no page: what a client made behind our back goes the same way.
  UARENA_DEATH_POINT("free.before");
  auto punched = file.punch(pages);
  UARENA_DEATH_POINT("free.punched");
  guard.lock();
  std::erase(work, &freeing);
  work_done.notify_all();
  if (punched) {
    release_but(pages, freeing.served);
    UARENA_DEATH_POINT("free.entered");
    for (const auto& watcher : watchers) watcher->freed(pages);
    return;
  }
  log(LogLevel::error, "arena.free_failed",
      {{"id", identity.id},
       {"page", pages.first},
       {"errno", punched.error().code},
       {"error", punched.error().message}});
}

void Arena::Impl::tell_allocated(Guard& guard, PageRange pages) {
  if (watchers.empty()) return;
  const auto told = watchers;
  guard.unlock();
  std::vector<uint64_t> tickets;
  for (const auto& watcher : told) tickets.push_back(watcher->allocated(pages));
  for (size_t i = 0; i < told.size(); ++i) told[i]->wait(tickets[i]);
}

void Arena::add_watcher(std::shared_ptr<PageWatcher> watcher) {
  const Impl::Guard guard(impl_->lock);
  impl_->watchers.push_back(std::move(watcher));
}

void Arena::remove_watcher(const PageWatcher* watcher) {
  const Impl::Guard guard(impl_->lock);
  std::erase_if(impl_->watchers, [=](const auto& one) { return one.get() == watcher; });
}

bool Arena::Impl::worked_on(PageRange pages) const {
  return std::ranges::any_of(work, [&](const Work* at) {
    return at->pages.first < pages.end() && pages.first < at->pages.end();
  });
}

bool Arena::Impl::being_freed(uint32_t page) const {
  return std::ranges::any_of(work, [&](const Work* at) {
    return at->freeing && page - at->pages.first < at->pages.count;
  });
}

bool Arena::Impl::wait_for_work(Guard& guard, PageRange pages) {
  if (!worked_on(pages)) return false;
  work_done.wait(guard, [&] { return !worked_on(pages); });
  return true;
}

}  // namespace uarena::broker
