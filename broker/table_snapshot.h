// A consistent copy of a page table of up to 8 MB, made without holding the arena's lock for more
// than one chunk at a time: the reader registers a snapshot, then copies chunk after chunk, each
// under the lock; whoever changes entries meanwhile first copies the chunks he is about to change,
// if they are still missing. The result is the table as it was at registration.
//
// Not thread-safe: the arena's lock protects it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "broker/state_file.h"

namespace uarena::broker {

class TableSnapshot {
 public:
  // 32 KiB of entries: some microseconds under the lock.
  static constexpr uint32_t kChunk = 4096;

  explicit TableSnapshot(uint32_t pages)
      : entries_(pages), copied_((pages + kChunk - 1) / kChunk) {}

  uint32_t chunks() const { return static_cast<uint32_t>(copied_.size()); }

  void preserve_chunk(const StateFile& table, uint32_t chunk) {
    if (copied_[chunk]) return;
    const size_t first = size_t{chunk} * kChunk;
    const size_t count = std::min<size_t>(kChunk, entries_.size() - first);
    table.copy(static_cast<uint32_t>(first), std::span(entries_).subspan(first, count));
    copied_[chunk] = true;
  }

  // Before the pages' entries change.
  void preserve(const StateFile& table, PageRange pages) {
    for (uint32_t chunk = pages.first / kChunk; uint64_t{chunk} * kChunk < pages.end(); ++chunk)
      preserve_chunk(table, chunk);
  }

  const std::vector<PageEntry>& entries() const { return entries_; }

 private:
  std::vector<PageEntry> entries_;
  std::vector<bool> copied_;
};

}  // namespace uarena::broker
