// One open `mem`: the bytes of an arena at any offset, and where its holes are.
//
// The broker sends at most UARENA_MAX_PAGE_READ bytes per answer, and an arena has up to 4 GiB that
// are mostly holes. So the list of extents is fetched and what lies in a hole is answered without
// asking. A list is old as soon as it is there; the rule for using it:
//
//  - a read of its own, of up to UARENA_MAX_PAGE_READ bytes, is one question to the broker, always;
//  - a larger one, and one that goes on where the last one ended, uses a list, which such a sweep
//    shares for kSweep: each byte is what the arena held at some moment after the file was opened
//    and at most kSweep before the read began, or later;
//  - SEEK_DATA and SEEK_HOLE are answered from a list that is at most kSweep old.
//
// A page that is in the list is always asked for, so bytes are never older than the read.
//
// Threads: any, several at a time; they wait for each other only to look at the list's pointer.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "ipc/base/result.h"
#include "tools/uarenafs/hole_map.h"

namespace uarena::inspectfs {

class MemFile {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kSweep{100};

  // Where bytes and extents come from; both are called from any thread.
  struct Source {
    std::function<Result<std::vector<uarena_page_extent>>()> extents;
    std::function<Result<std::vector<std::byte>>(uint64_t offset, uint32_t length)> read;
    std::function<Clock::time_point()> now = [] { return Clock::now(); };
  };

  MemFile(uint64_t size, Source source) : size_(size), source_(std::move(source)) {}

  uint64_t size() const { return size_; }
  // Up to `length` bytes from `offset`: fewer at the arena's end, none behind it.
  Result<std::vector<std::byte>> read(uint64_t offset, size_t length);
  // As lseek: ENXIO at or behind the end, and when there is no more data.
  Result<uint64_t> seek_data(uint64_t offset);
  Result<uint64_t> seek_hole(uint64_t offset);

 private:
  using List = std::shared_ptr<const HoleMap>;

  // The list for this read; null: ask for all of it.
  Result<List> list_for(ByteSpan span);
  Result<List> recent_list();
  Result<void> fill(ByteSpan span, ByteSpan from, std::vector<std::byte>& bytes);

  const uint64_t size_;
  const Source source_;
  std::mutex mutex_;
  List list_;
  Clock::time_point fetched_;
  uint64_t position_ = UINT64_MAX;  // where a sweep goes on
};

}  // namespace uarena::inspectfs
