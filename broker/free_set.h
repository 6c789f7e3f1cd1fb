// Which pages of an arena are free, and which of them the next allocation gets. Programs rely on
// where pages come to lie more than they know, so placement is the kernel's (K36): best fit; among
// extents of equal size the one that was inserted last; allocation at its low end.
//
// What counts as inserting follows the kernel's range tree, whose order is the order of insertions:
//   * take from the middle of an extent: the left remainder is inserted, then the right one;
//   * take from one end: the remainder is inserted anew;
//   * release: the pages, everything free among them and the free neighbours on both sides become
//     one extent, which is inserted anew; but where all of the pages lie in one free extent already
//     (K38, double free), nothing happens and the extent keeps its place in the order.
// Every insertion gets the next number of a 48-bit sequence; the numbers are the whole order, so a
// set that is rebuilt from its extents and their numbers places as the original would have.
//
// Not thread-safe: the arena's lock protects it. All operations are O(log extents), release plus
// the extents it swallows.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "ipc/base/page.h"

namespace uarena::broker {

struct FreeExtent {
  PageRange pages;
  uint64_t seq = 0;
  friend bool operator==(const FreeExtent&, const FreeExtent&) = default;
};

class FreeSet {
 public:
  // 48 bits in the state file: at 2 us for each of its operations they last 17 years.
  static constexpr uint64_t kMaxSeq = (uint64_t{1} << 48) - 1;

  // What an operation did to extents outside the pages that it was about, for the state file.
  struct Change {
    // Extents that are now (re)inserted, at most two.
    FreeExtent inserted[2] = {};
    unsigned inserted_count = 0;
    // A page outside the range at which an extent began before and which lies inside one now.
    std::optional<uint32_t> swallowed_head;
  };

  // Where `count` pages would be placed; nothing when no extent is large enough.
  std::optional<uint32_t> find(uint32_t count) const;
  // Whether every page of the range (not empty) is free.
  bool contains(PageRange pages) const;

  // The pages, all of them free, are free no longer.
  Change take(PageRange pages);
  // The pages, free or not, are free. Nothing is inserted when all of them were.
  Change release(PageRange pages);

  // Rebuilding: an extent with its number. Extents neither overlap nor touch, numbers are unique.
  void restore(const FreeExtent& extent);

  uint32_t free_pages() const { return free_pages_; }
  std::vector<FreeExtent> extents() const;

 private:
  struct Body {
    uint32_t count;
    uint64_t seq;
  };
  // Ordered so that the first key not below {count, kMaxSeq} is the best fit.
  struct SizeKey {
    uint32_t count;
    uint64_t seq;
    uint32_t first;
    friend std::strong_ordering operator<=>(const SizeKey& a, const SizeKey& b) {
      if (const auto by_count = a.count <=> b.count; by_count != 0) return by_count;
      return b.seq <=> a.seq;  // newest first
    }
  };
  using ByStart = std::map<uint32_t, Body>;

  void insert(PageRange pages, Change& change);
  ByStart::iterator erase(ByStart::iterator extent);
  // The extent that holds the page, or end().
  ByStart::const_iterator holding(uint32_t page) const;

  ByStart by_start_;
  std::set<SizeKey> by_size_;
  uint64_t next_seq_ = 1;
  uint32_t free_pages_ = 0;
};

}  // namespace uarena::broker
