// The window of fault-around against what it promises: it grows by its factor for each fault right
// behind a run, starts with one page elsewhere, and remembers a few runs.
#include "uffd/around_window.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <list>
#include <map>

namespace uarena::uffd {
namespace {

// All pages that are wanted are made.
uint32_t fault(AroundWindow& window, uint64_t page) {
  const uint32_t pages = window.wanted(page);
  window.made(pages);
  return pages;
}

TEST(AroundWindow, GrowsWhileFaultsFollow) {
  AroundWindow window(AroundWindow::kAuto);
  uint64_t page = 100;
  for (const uint32_t expected : {1, 4, 16, 64, 256, 512, 512}) {
    EXPECT_EQ(fault(window, page), expected);
    page += expected;
  }
  EXPECT_EQ(fault(window, page + 1), 1u) << "one page further is elsewhere";
  EXPECT_EQ(fault(window, page), 512u) << "the run is remembered";
}

TEST(AroundWindow, ElsewhereIsOnePage) {
  AroundWindow window(AroundWindow::kAuto);
  for (uint64_t page = 1'000'000; page > 0; page -= 1000) EXPECT_EQ(fault(window, page), 1u);
}

TEST(AroundWindow, BackwardsIsOnePage) {
  AroundWindow window(AroundWindow::kAuto);
  for (uint64_t page = 1000; page-- > 0;) EXPECT_EQ(fault(window, page), 1u);
}

TEST(AroundWindow, SeveralPlacesAtOnce) {
  AroundWindow window(AroundWindow::kAuto);
  std::array<uint64_t, AroundWindow::kRuns> at{};
  for (size_t i = 0; i < at.size(); ++i) at[i] = i << 16;
  for (const uint32_t expected : {1, 4, 16, 64})
    for (uint64_t& page : at) {
      EXPECT_EQ(fault(window, page), expected);
      page += expected;
    }
  fault(window, 9 << 16);  // pushes out the one that was used first
  EXPECT_EQ(fault(window, at[3]), 256u);
  EXPECT_EQ(fault(window, at[0]), 1u);
}

// Where less could be made than was wanted, the next fault comes sooner, and is behind it.
TEST(AroundWindow, FollowsWhatWasMade) {
  AroundWindow window(AroundWindow::kAuto);
  fault(window, 0);
  EXPECT_EQ(window.wanted(1), 4u);
  window.made(2);
  EXPECT_EQ(fault(window, 3), 16u);
}

TEST(AroundWindow, AFixedNumberIsWhatItIs) {
  AroundWindow window(16);
  for (const uint64_t page : {5, 6, 5, 700}) EXPECT_EQ(fault(window, page), 16u);
}

// A model that remembers the runs in a list, latest first.
RC_GTEST_PROP(AroundWindow, IsItsModel, ()) {
  struct Run {
    uint64_t end;
    uint32_t size;
  };
  std::list<Run> model;
  AroundWindow window(AroundWindow::kAuto);
  for (const auto& [page, less] : *rc::gen::container<std::vector<std::pair<uint32_t, uint32_t>>>(
           rc::gen::pair(rc::gen::inRange<uint32_t>(0, 40), rc::gen::inRange<uint32_t>(0, 3)))) {
    const auto found = std::ranges::find(model, page, &Run::end);
    Run run{0, 1};
    if (found != model.end()) {
      run.size = std::min(found->size * AroundWindow::kGrowth, AroundWindow::kMost);
      model.erase(found);
    }
    const uint32_t wanted = window.wanted(page);
    RC_ASSERT(wanted == run.size);
    const uint32_t made = std::max(1U, wanted - std::min(wanted, less));
    window.made(made);
    run.end = page + made;
    model.push_front(run);
    if (model.size() > AroundWindow::kRuns) model.pop_back();
    // Of two runs that end at one page the window may go on with either; so does nobody here.
    std::map<uint64_t, int> ends;
    for (const Run& one : model) ++ends[one.end];
    if (std::ranges::any_of(ends, [](const auto& end) { return end.second > 1; })) return;
  }
}

}  // namespace
}  // namespace uarena::uffd
