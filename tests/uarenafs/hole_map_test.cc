// Holes and data, against a map of single pages.
#include "tools/uarenafs/hole_map.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "ipc/base/page.h"

namespace uarena::inspectfs {
namespace {

constexpr uint64_t kPage = kPageSize;

TEST(HoleMap, NothingIsOneHole) {
  const HoleMap map({}, 10 * kPage);
  EXPECT_EQ(map.next_data(0), 10 * kPage);
  EXPECT_EQ(map.next_hole(5), 5u);
  EXPECT_TRUE(map.data_within({0, 10 * kPage}).empty());
}

TEST(HoleMap, AdjacentExtentsAreOneStretchAndReservedOnesAreNone) {
  const uarena_page_extent extents[] = {{2, 1, UARENA_ORIGIN_PROGRAM, 0},
                                        {3, 2, UARENA_ORIGIN_FAULT, 0},
                                        {5, 3, UARENA_ORIGIN_RESERVED, 0},
                                        {9, 1, UARENA_ORIGIN_CLIENT, 0}};
  const HoleMap map(extents, 10 * kPage);
  EXPECT_EQ(map.next_data(0), 2 * kPage);
  EXPECT_EQ(map.next_data(2 * kPage + 1), 2 * kPage + 1);
  EXPECT_EQ(map.next_hole(2 * kPage), 5 * kPage);
  EXPECT_EQ(map.next_data(5 * kPage), 9 * kPage);
  EXPECT_EQ(map.next_hole(9 * kPage), 10 * kPage);
  EXPECT_EQ(map.data_within({0, 10 * kPage}), (ByteSpan{2 * kPage, 10 * kPage}));
  EXPECT_EQ(map.data_within({3 * kPage + 7, 6 * kPage}), (ByteSpan{3 * kPage + 7, 5 * kPage}));
  EXPECT_TRUE(map.data_within({5 * kPage, 9 * kPage}).empty());
}

// In any order, overlapping, reaching over the end or lying behind it.
RC_GTEST_PROP(HoleMap, AgreesWithAMapOfPages, ()) {
  const uint64_t pages = *rc::gen::inRange<uint64_t>(1, 40);
  const uint64_t size = pages * kPage;
  std::vector<uarena_page_extent> extents;
  std::vector<bool> data(pages);
  for (int i = *rc::gen::inRange(0, 12); i > 0; --i) {
    uarena_page_extent extent{*rc::gen::inRange(0u, 50u), *rc::gen::inRange(0u, 20u),
                              *rc::gen::inRange(1u, 5u), 0};
    if (*rc::gen::inRange(0, 20) == 0) extent.count = UINT32_MAX;
    extents.push_back(extent);
    if (extent.origin == UARENA_ORIGIN_RESERVED) continue;
    for (uint64_t p = extent.page; p < pages && p < uint64_t{extent.page} + extent.count; ++p)
      data[p] = true;
  }
  const HoleMap map(extents, size);
  const auto next = [&](uint64_t offset, bool what) {
    for (uint64_t page = offset / kPage; page < pages; ++page)
      if (data[page] == what) return std::max(offset, page * kPage);
    return size;
  };
  for (int i = 0; i < 20; ++i) {
    const uint64_t offset = *rc::gen::inRange<uint64_t>(0, size);
    RC_ASSERT(map.next_data(offset) == next(offset, true));
    RC_ASSERT(map.next_hole(offset) == next(offset, false));
    const ByteSpan within{offset, *rc::gen::inRange<uint64_t>(offset, size + 1)};
    const ByteSpan found = map.data_within(within);
    const uint64_t first = next(within.begin, true);
    if (within.empty() || first >= within.end) {
      RC_ASSERT(found.empty());
      continue;
    }
    uint64_t end = within.end;
    while (!data[(end - 1) / kPage]) end = (end - 1) / kPage * kPage;
    RC_ASSERT(found == (ByteSpan{first, end}));
  }
}

}  // namespace
}  // namespace uarena::inspectfs
