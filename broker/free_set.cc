// Two trees over the same extents: by start for neighbours, by (size, newest first) for placement.
#include "broker/free_set.h"

#include <algorithm>
#include <iterator>

#include "ipc/base/result.h"

namespace uarena::broker {

std::optional<uint32_t> FreeSet::find(uint32_t count) const {
  const auto best = by_size_.lower_bound(SizeKey{count, kMaxSeq, 0});
  if (best == by_size_.end()) return std::nullopt;
  return best->first;
}

FreeSet::ByStart::const_iterator FreeSet::holding(uint32_t page) const {
  auto extent = by_start_.upper_bound(page);
  if (extent == by_start_.begin()) return by_start_.end();
  --extent;
  return page - extent->first < extent->second.count ? extent : by_start_.end();
}

bool FreeSet::contains(PageRange pages) const {
  const auto extent = holding(pages.first);
  return extent != by_start_.end() && pages.end() <= uint64_t{extent->first} + extent->second.count;
}

void FreeSet::insert(PageRange pages, Change& change) {
  UARENA_ASSERT(next_seq_ <= kMaxSeq, "the sequence of free extents is used up");
  const uint64_t seq = next_seq_++;
  by_start_.emplace(pages.first, Body{pages.count, seq});
  by_size_.insert(SizeKey{pages.count, seq, pages.first});
  free_pages_ += pages.count;
  change.inserted[change.inserted_count++] = {pages, seq};
}

FreeSet::ByStart::iterator FreeSet::erase(ByStart::iterator extent) {
  by_size_.erase(SizeKey{extent->second.count, extent->second.seq, extent->first});
  free_pages_ -= extent->second.count;
  return by_start_.erase(extent);
}

FreeSet::Change FreeSet::take(PageRange pages) {
  UARENA_ASSERT(pages.count > 0 && contains(pages), "pages {}+{} are not free", pages.first,
                pages.count);
  Change change;
  const auto extent = std::prev(by_start_.upper_bound(pages.first));
  const PageRange whole = {extent->first, extent->second.count};
  erase(extent);
  if (whole.first < pages.first) insert({whole.first, pages.first - whole.first}, change);
  if (pages.end() < whole.end())
    insert({static_cast<uint32_t>(pages.end()), static_cast<uint32_t>(whole.end() - pages.end())},
           change);
  return change;
}

FreeSet::Change FreeSet::release(PageRange pages) {
  UARENA_ASSERT(pages.count > 0, "release of no pages at {}", pages.first);
  Change change;
  if (contains(pages)) return change;
  uint64_t first = pages.first;
  uint64_t end = pages.end();
  auto extent = by_start_.lower_bound(pages.first);
  if (extent != by_start_.begin()) {  // the left neighbour, if it touches or overlaps
    const auto left = std::prev(extent);
    const uint64_t left_end = uint64_t{left->first} + left->second.count;
    if (left_end >= pages.first) {
      first = left->first;
      end = std::max(end, left_end);
      extent = erase(left);
    }
  }
  while (extent != by_start_.end() && extent->first <= end) {
    if (extent->first >= pages.end()) change.swallowed_head = extent->first;
    end = std::max(end, uint64_t{extent->first} + extent->second.count);
    extent = erase(extent);
  }
  insert({static_cast<uint32_t>(first), static_cast<uint32_t>(end - first)}, change);
  return change;
}

void FreeSet::restore(const FreeExtent& extent) {
  UARENA_ASSERT(extent.seq != 0 && extent.seq <= kMaxSeq, "seq {}", extent.seq);
  by_start_.emplace(extent.pages.first, Body{extent.pages.count, extent.seq});
  by_size_.insert(SizeKey{extent.pages.count, extent.seq, extent.pages.first});
  free_pages_ += extent.pages.count;
  next_seq_ = std::max(next_seq_, extent.seq + 1);
}

std::vector<FreeExtent> FreeSet::extents() const {
  std::vector<FreeExtent> all;
  all.reserve(by_start_.size());
  for (const auto& [first, body] : by_start_) all.push_back({{first, body.count}, body.seq});
  return all;
}

}  // namespace uarena::broker
