// The picture of an arena: which pages are taken, and who put them there.
//
// An arena has up to 1,048,576 pages, mostly none of them taken, and a terminal has a few dozen
// lines. So a cell stands for a group of pages, as few as keep the picture at kMostRows rows; only
// rows that hold something are drawn, and what lies between them is one line with a count.
// With colour, a cell's shade is how full its group is and its colour is the origin of most of its
// pages; without, the origin is a letter, and its case says whether the group is full.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ipc/abi.h"
#include "tools/uarena/render.h"

namespace uarena::cli {

struct PageMapInput {
  std::string name;  // printable
  uint64_t user_vm_start = 0;
  uint32_t max_entries = 0;
  std::vector<uarena_page_extent> extents;
};

// Pages by origin; index 0 is unused, the others are enum uarena_origin.
struct PageCounts {
  uint32_t by_origin[UARENA_ORIGIN_RESERVED + 1] = {};
  uint32_t taken() const;
};

inline constexpr size_t kMostRows = 32;

Colour origin_colour(uint32_t origin);

PageCounts count_pages(const PageMapInput& input);
std::string draw_page_map(const PageMapInput& input, const Output& output);

}  // namespace uarena::cli
