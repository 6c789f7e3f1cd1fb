// A read goes through its span in pieces of one answer each, and of each piece asks for what lies
// between its first and its last byte of data.
#include "tools/uarenafs/mem_file.h"

#include <algorithm>
#include <cstring>

namespace uarena::inspectfs {

Result<std::vector<std::byte>> MemFile::read(uint64_t offset, size_t length) {
  if (offset >= size_) return std::vector<std::byte>();
  const ByteSpan all{offset, offset + std::min<uint64_t>(length, size_ - offset)};
  auto list = list_for(all);
  if (!list) return std::unexpected(std::move(list.error()));

  std::vector<std::byte> bytes(all.end - all.begin);
  for (ByteSpan piece{all.begin, 0}; piece.begin < all.end; piece.begin = piece.end) {
    piece.end = std::min(piece.begin + UARENA_MAX_PAGE_READ, all.end);
    const ByteSpan wanted = *list ? (*list)->data_within(piece) : piece;
    if (auto ok = fill(wanted, all, bytes); !ok) return std::unexpected(std::move(ok.error()));
  }
  const std::lock_guard lock(mutex_);
  position_ = all.end;
  return bytes;
}

Result<void> MemFile::fill(ByteSpan span, ByteSpan from, std::vector<std::byte>& bytes) {
  if (span.empty()) return {};
  auto data = source_.read(span.begin, static_cast<uint32_t>(span.end - span.begin));
  if (!data) return std::unexpected(std::move(data.error()));
  std::memcpy(bytes.data() + (span.begin - from.begin), data->data(), data->size());
  return {};
}

Result<MemFile::List> MemFile::list_for(ByteSpan span) {
  {
    const std::lock_guard lock(mutex_);
    if (span.begin != position_) {
      // A read of its own, which may begin a sweep: no list of before serves it.
      list_.reset();
      if (span.end - span.begin <= UARENA_MAX_PAGE_READ) return List();
    }
  }
  return recent_list();
}

Result<MemFile::List> MemFile::recent_list() {
  const Clock::time_point now = source_.now();
  {
    const std::lock_guard lock(mutex_);
    if (list_ && now - fetched_ <= kSweep) return list_;
  }
  auto extents = source_.extents();
  if (!extents) return std::unexpected(std::move(extents.error()));
  auto list = std::make_shared<const HoleMap>(*extents, size_);
  const std::lock_guard lock(mutex_);
  list_ = list;
  fetched_ = now;
  return list;
}

// A reader that looks for data reads it next: that read is part of the sweep.
Result<uint64_t> MemFile::seek_data(uint64_t offset) {
  auto list = recent_list();
  if (!list) return std::unexpected(std::move(list.error()));
  const uint64_t found = offset < size_ ? (*list)->next_data(offset) : size_;
  if (found >= size_) return fail(ENXIO, "there is no data at or after {:#x}", offset);
  const std::lock_guard lock(mutex_);
  position_ = found;
  return found;
}

Result<uint64_t> MemFile::seek_hole(uint64_t offset) {
  if (offset >= size_) return fail(ENXIO, "{:#x} lies behind the end {:#x}", offset, size_);
  auto list = recent_list();
  if (!list) return std::unexpected(std::move(list.error()));
  return (*list)->next_hole(offset);
}

}  // namespace uarena::inspectfs
