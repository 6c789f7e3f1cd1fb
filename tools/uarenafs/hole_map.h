// Where an arena has bytes and where it has none, from the broker's list of extents: the answers to
// SEEK_DATA and SEEK_HOLE, and which part of a read is worth asking for. Reserved pages are taken,
// but there is nothing in them: holes.
//
// A value; the list comes from the broker and may be anything (out of order, overlapping, outside).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ipc/abi.h"

namespace uarena::inspectfs {

// Bytes [begin, end) of an arena.
struct ByteSpan {
  uint64_t begin = 0;
  uint64_t end = 0;
  bool empty() const { return begin >= end; }
  friend bool operator==(const ByteSpan&, const ByteSpan&) = default;
};

class HoleMap {
 public:
  HoleMap(std::span<const uarena_page_extent> extents_untrusted, uint64_t size);

  // The smallest span inside `within` that has all its data; empty: there is none.
  ByteSpan data_within(ByteSpan within) const;
  // The first byte at or after `offset` that is data, or hole; the arena's size, if none is.
  uint64_t next_data(uint64_t offset) const;
  uint64_t next_hole(uint64_t offset) const;

 private:
  // The first stretch of data that ends after `offset`.
  std::vector<ByteSpan>::const_iterator first_after(uint64_t offset) const;

  uint64_t size_;
  std::vector<ByteSpan> data_;  // ascending, with a gap between any two
};

}  // namespace uarena::inspectfs
