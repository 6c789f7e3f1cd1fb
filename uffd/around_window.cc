#include "uffd/around_window.h"

#include <algorithm>

namespace uarena::uffd {

uint32_t AroundWindow::wanted(uint64_t page) {
  page_ = page;
  if (fixed_ != 0) return fixed_;
  const auto found = std::ranges::find_if(
      runs_, [page](const Run& run) { return run.size != 0 && run.end == page; });
  const bool follows = found != runs_.end();
  Run& run = follows ? *found : *std::ranges::min_element(runs_, {}, &Run::used);
  last_ = static_cast<size_t>(&run - runs_.data());
  run.size = follows ? std::min(run.size * kGrowth, kMost) : 1;
  run.end = page + 1;
  run.used = ++now_;
  return run.size;
}

void AroundWindow::made(uint32_t pages) {
  if (fixed_ == 0) runs_[last_].end = page_ + pages;
}

}  // namespace uarena::uffd
