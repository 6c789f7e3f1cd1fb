#include "tools/uarenafs/hole_map.h"

#include <algorithm>

#include "ipc/base/page.h"

namespace uarena::inspectfs {

HoleMap::HoleMap(std::span<const uarena_page_extent> extents_untrusted, uint64_t size)
    : size_(size) {
  std::vector<ByteSpan> spans;
  for (const uarena_page_extent& extent : extents_untrusted) {
    if (extent.origin == UARENA_ORIGIN_RESERVED) continue;
    const uint64_t begin = extent.page * kPageSize;
    const ByteSpan span{begin, std::min(begin + extent.count * kPageSize, size)};
    if (!span.empty()) spans.push_back(span);
  }
  std::ranges::sort(spans, {}, &ByteSpan::begin);
  for (const ByteSpan& span : spans) {
    if (!data_.empty() && span.begin <= data_.back().end)
      data_.back().end = std::max(data_.back().end, span.end);
    else
      data_.push_back(span);
  }
}

std::vector<ByteSpan>::const_iterator HoleMap::first_after(uint64_t offset) const {
  return std::ranges::upper_bound(data_, offset, {}, &ByteSpan::end);
}

ByteSpan HoleMap::data_within(ByteSpan within) const {
  const auto first = first_after(within.begin);
  const auto last = std::ranges::lower_bound(data_, within.end, {}, &ByteSpan::begin);
  if (within.empty() || first >= last) return {within.begin, within.begin};
  return {std::max(first->begin, within.begin), std::min(std::prev(last)->end, within.end)};
}

uint64_t HoleMap::next_data(uint64_t offset) const {
  const auto next = first_after(offset);
  return next == data_.end() ? size_ : std::max(next->begin, offset);
}

uint64_t HoleMap::next_hole(uint64_t offset) const {
  const auto next = first_after(offset);
  return next == data_.end() || next->begin > offset ? offset : next->end;
}

}  // namespace uarena::inspectfs
