// The placement rules of K36 once more, as simple as can be: a flag per page, and a list of the
// free extents in the order of their insertion. After every change the extents are found anew by
// walking the flags. What FreeSet and the arena do is compared with this.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "ipc/base/page.h"

namespace uarena::broker {

class NaiveFreeModel {
 public:
  explicit NaiveFreeModel(uint32_t pages) : free_(pages, true), extents_{{0, pages}} {}

  bool all_free(PageRange pages) const {
    for (uint64_t page = pages.first; page < pages.end(); ++page)
      if (page >= free_.size() || !free_[page]) return false;
    return true;
  }

  // The smallest that fits; of several, the one inserted last.
  std::optional<uint32_t> find(uint32_t count) const {
    std::optional<PageRange> best;
    for (const PageRange& extent : extents_)
      if (extent.count >= count && (!best || extent.count <= best->count)) best = extent;
    if (!best) return std::nullopt;
    return best->first;
  }

  void take(PageRange pages) {
    set(pages, false);
    rebuild();
  }

  void release(PageRange pages) {
    // Extents that change are new; a double free changes none, so the order stays.
    set(pages, true);
    rebuild();
  }

  // In the order of insertion, oldest first.
  const std::vector<PageRange>& extents() const { return extents_; }
  uint32_t free_pages() const { return static_cast<uint32_t>(std::ranges::count(free_, true)); }

 private:
  void set(PageRange pages, bool value) {
    for (uint64_t page = pages.first; page < pages.end(); ++page) free_[page] = value;
  }

  // Extents that exist unchanged keep their place; new ones follow from left to right.
  void rebuild() {
    std::vector<PageRange> now;
    for (uint32_t page = 0; page < free_.size(); ++page) {
      if (!free_[page]) continue;
      if (!now.empty() && now.back().end() == page)
        ++now.back().count;
      else
        now.push_back({page, 1});
    }
    std::erase_if(extents_, [&](const PageRange& extent) {
      return std::ranges::find(now, extent) == now.end();
    });
    for (const PageRange& extent : now)
      if (std::ranges::find(extents_, extent) == extents_.end()) extents_.push_back(extent);
  }

  std::vector<bool> free_;
  std::vector<PageRange> extents_;
};

}  // namespace uarena::broker
