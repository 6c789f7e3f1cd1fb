// Accesses to absent pages as they are told to the program's author (K52): where in the program, at
// which address, for whom, called from where. The fault path must be cheap and must not allocate,
// and a loop may fault a million times at one place: so a place is written down once, in a table
// that is there from the beginning, and then only counted. Who reads the program's stderr takes
// what is new and makes text of it. Places beyond the table are counted as lost.
//
// Thread-safe; note() is async-signal-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "jit/runtime.h"

namespace uarena::jit {

class FaultReports {
 public:
  static constexpr size_t kPlaces = 64;  // of one program: 10 KiB
  static constexpr size_t kCalls = 8;    // frames of a program

  // As the executor names places: instructions, or offsets in the code.
  struct Access {
    uint32_t at = 0;
    uint64_t address = 0;                     // the user's
    const Caller* caller = nullptr;           // null: this process itself
    std::array<uint32_t, kCalls> calls = {};  // where it was called from, innermost first
    uint32_t call_count = 0;
  };
  // Whether this place is written down already; then only the count of it goes up.
  bool counted(uint32_t at, uint64_t address) noexcept;
  void note(const Access& access) noexcept;

  struct Report {
    Access access;  // the first; `caller` is not
    Caller caller;
    unsigned cpu = 0;
    bool first = false;         // not told before
    uint64_t count = 0;         // since the last time
    uint64_t last_address = 0;  // of these
  };
  // What was not told yet, in the order in which the places were met first.
  std::vector<Report> take();
  uint64_t take_lost() noexcept { return lost_.exchange(0, std::memory_order_relaxed); }

 private:
  struct Place {
    std::atomic<uint32_t> key{0};  // 0: free; otherwise `at` plus 1
    std::atomic<bool> written{false};
    std::atomic<uint64_t> count{0};
    std::atomic<uint64_t> last_address{0};
    Access access;
    Caller caller;
    unsigned cpu = 0;
    uint64_t order = 0;
    uint64_t told = 0;
  };
  Place* find(uint32_t at) noexcept;

  std::array<Place, kPlaces> places_;
  std::atomic<uint64_t> met_{0};  // places
  std::atomic<uint64_t> lost_{0};
  std::mutex taking_;
};

}  // namespace uarena::jit
