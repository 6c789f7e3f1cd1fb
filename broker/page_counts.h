// How many pages of an arena each origin has. Whoever holds the arena's lock changes the numbers;
// anybody reads them, without it, so that looking at an arena never makes a fault wait.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>

#include "ipc/base/page.h"

namespace uarena::broker {

struct PagesByOrigin {
  static constexpr size_t kOrigins = static_cast<size_t>(Origin::reserved) + 1;  // they begin at 1
  std::array<uint32_t, kOrigins> pages{};

  uint32_t of(Origin origin) const { return pages[static_cast<size_t>(origin)]; }
  uint32_t reserved() const { return of(Origin::reserved); }
  uint32_t allocated() const {
    return of(Origin::program) + of(Origin::fault) + of(Origin::client);
  }
};

class PageCounts {
 public:
  PageCounts() = default;
  // Before anybody else reads them.
  PageCounts(PageCounts&& other) noexcept { *this = std::move(other); }
  PageCounts& operator=(PageCounts&& other) noexcept {
    const PagesByOrigin theirs = other.read();
    for (size_t i = 0; i < pages_.size(); ++i)
      pages_[i].store(theirs.pages[i], std::memory_order_relaxed);
    return *this;
  }

  // One writer at a time, so no addition needs to be atomic.
  void add(Origin origin, uint32_t pages) { change(static_cast<size_t>(origin), pages); }
  void remove(const PagesByOrigin& gone) {
    for (size_t i = 0; i < pages_.size(); ++i) change(i, 0 - gone.pages[i]);
  }

  PagesByOrigin read() const {
    PagesByOrigin copy;
    for (size_t i = 0; i < pages_.size(); ++i)
      copy.pages[i] = pages_[i].load(std::memory_order_relaxed);
    return copy;
  }

 private:
  void change(size_t origin, uint32_t by) {
    auto& pages = pages_[origin];
    pages.store(pages.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }

  std::array<std::atomic<uint32_t>, PagesByOrigin::kOrigins> pages_{};
};

}  // namespace uarena::broker
