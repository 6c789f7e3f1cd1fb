// Each operation computes what changes in the free set, writes that and the pages' own entries as
// one operation of the state file, and adjusts the counts.
#include "broker/page_table.h"

#include <algorithm>
#include <utility>

namespace uarena::broker {
namespace {

PageEntry entry_for(Origin origin) {
  return origin == Origin::reserved ? PageEntry::reserved() : PageEntry::allocated(origin);
}

}  // namespace

Result<PageTable> PageTable::create(const ArenaIdentity& identity, ArenaAccess access) {
  Result<StateFile> state = StateFile::create(identity, access);
  if (!state) return std::unexpected(state.error());
  PageTable table(std::move(*state));
  table.free_.restore({{0, table.size()}, 1});
  return table;
}

Result<PageTable> PageTable::open_untrusted(Fd fd) {
  Result<StateFile> state = StateFile::open_untrusted(std::move(fd));
  if (!state) return std::unexpected(state.error());
  PageTable table(std::move(*state));
  std::vector<uint64_t> seqs;
  for (uint32_t page = 0; page < table.size();) {
    const PageEntry head = table.entry(page);
    uint32_t end = page + 1;
    if (head.state() != PageState::free) {
      table.counts_.add(head.origin(), 1);
    } else {
      while (end < table.size() && table.entry(end) == PageEntry()) ++end;
      const bool touches_next = end < table.size() && table.entry(end).state() == PageState::free;
      if (head.seq() == 0 || head.seq() > FreeSet::kMaxSeq / 2 || touches_next)
        return fail(EINVAL, "the state file's free extent at page {} (number {}) makes no sense",
                    page, head.seq());
      table.free_.restore({{page, end - page}, head.seq()});
      seqs.push_back(head.seq());
    }
    page = end;
  }
  std::ranges::sort(seqs);
  if (std::ranges::adjacent_find(seqs) != seqs.end())
    return fail(EINVAL, "two free extents in the state file have the same number");
  return table;
}

void PageTable::take(PageRange pages, Origin origin) {
  const FreeSet::Change change = free_.take(pages);
  commit(pages, entry_for(origin), change);
  counts_.add(origin, pages.count);
}

PagesByOrigin PageTable::taken(PageRange pages) const {
  PagesByOrigin taken;
  for (uint64_t page = pages.first; page < pages.end(); ++page)
    if (const PageEntry e = entry(static_cast<uint32_t>(page)); e.state() != PageState::free)
      ++taken.pages[static_cast<size_t>(e.origin())];
  return taken;
}

void PageTable::assign(PageRange pages, Origin origin) {
  const PagesByOrigin before = taken(pages);
  UARENA_ASSERT(before.allocated() + before.reserved() == pages.count, "a page of {}+{} is free",
                pages.first, pages.count);
  commit(pages, entry_for(origin), {});
  counts_.remove(before);
  counts_.add(origin, pages.count);
}

uint32_t PageTable::release(PageRange pages) {
  const PagesByOrigin before = taken(pages);
  const FreeSet::Change change = free_.release(pages);
  if (change.inserted_count == 0) return 0;  // all of them were free
  commit(pages, PageEntry(), change);
  counts_.remove(before);
  return before.allocated();
}

void PageTable::commit(PageRange pages, PageEntry entry, const FreeSet::Change& change) {
  StateFile::Fill fills[StateFile::kMaxFills];
  size_t count = 0;
  fills[count++] = {pages, entry};
  if (change.swallowed_head) fills[count++] = {{*change.swallowed_head, 1}, PageEntry()};
  for (unsigned i = 0; i < change.inserted_count; ++i)
    fills[count++] = {{change.inserted[i].pages.first, 1},
                      PageEntry::free_head(change.inserted[i].seq)};
  const auto used = std::span(fills).first(count);
  for (TableSnapshot* snapshot : snapshots_)
    for (const StateFile::Fill& fill : used) snapshot->preserve(state_, fill.pages);
  state_.apply(used);
}

}  // namespace uarena::broker
