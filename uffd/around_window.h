// How many pages one fault should bring (fault-around). Whoever reads or writes an arena from one
// end to the other pays for a message, two context switches and a wake for each page, which is
// several times what making the page costs; whoever jumps about would pay for pages that he does
// not touch. So the window grows while faults come one behind the other, and a fault elsewhere
// starts with one page: a window is a run of pages that were made for one fault, and the next fault
// right behind it makes it four times as large. A few runs are remembered, for threads that work in
// several places.
//
// Not thread-safe: it belongs to one client's faults.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace uarena::uffd {

class AroundWindow {
 public:
  // Grows and shrinks by itself; else so many pages for each fault.
  static constexpr uint32_t kAuto = UINT32_MAX;
  static constexpr uint32_t kGrowth = 4;
  // A page table's worth: beyond it a page costs hardly less, and the client waits longer.
  static constexpr uint32_t kMost = 512;
  // Places that are remembered.
  static constexpr size_t kRuns = 4;

  explicit AroundWindow(uint32_t pages) : fixed_(pages == kAuto ? 0 : pages) {}

  // The fault's page had to be made: how many pages from it on should be, itself included.
  uint32_t wanted(uint64_t page);
  // So many are there now, from the page of the last wanted() on.
  void made(uint32_t pages);

 private:
  struct Run {
    uint64_t end = 0;   // the page behind it
    uint32_t size = 0;  // 0: none
    uint64_t used = 0;  // when, counted in faults
  };

  uint32_t fixed_;  // 0: auto
  std::array<Run, kRuns> runs_;
  size_t last_ = 0;  // the run of the last fault
  uint64_t now_ = 0;
  uint64_t page_ = 0;
};

}  // namespace uarena::uffd
