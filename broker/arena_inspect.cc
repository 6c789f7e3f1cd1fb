// Looking at an arena without disturbing it: no page comes to exist, and the lock is held for one
// chunk of the table at a time. What extents() returns is the table at one moment all the same
// (table_snapshot.h).
#include <memory>

#include "broker/arena_impl.h"

namespace uarena::broker {
namespace {

std::vector<PageExtent> extents_of(const std::vector<PageEntry>& entries) {
  std::vector<PageExtent> extents;
  const auto pages = static_cast<uint32_t>(entries.size());
  for (uint32_t page = 0; page < pages; ++page) {
    if (entries[page].state() == PageState::free) continue;
    const Origin origin = entries[page].origin();
    if (!extents.empty() && extents.back().pages.end() == page && extents.back().origin == origin)
      ++extents.back().pages.count;
    else
      extents.push_back({{page, 1}, origin});
  }
  return extents;
}

}  // namespace

std::vector<PageExtent> Arena::extents() const {
  Impl& in = *impl_;
  TableSnapshot snapshot(in.page_count());
  {
    Impl::Guard guard(in.lock);
    if (in.direct()) in.enter_touched(guard, {0, in.page_count()});
    in.table.add_snapshot(&snapshot);
  }
  for (uint32_t chunk = 0; chunk < snapshot.chunks(); ++chunk) {
    const Impl::Guard guard(in.lock);
    snapshot.preserve_chunk(in.table.state_file(), chunk);
  }
  {
    const Impl::Guard guard(in.lock);
    in.table.remove_snapshot(&snapshot);
  }
  return extents_of(snapshot.entries());
}

ArenaCounts Arena::counts() const {
  PagesByOrigin by_origin = impl_->table.counts();
  const uint64_t blocks = impl_->file.blocks();
  if (direct() && blocks > by_origin.allocated())
    by_origin.pages[static_cast<size_t>(Origin::client)] +=
        static_cast<uint32_t>(blocks - by_origin.allocated());
  return {by_origin, by_origin.allocated(), by_origin.reserved(), blocks};
}

const ArenaFaults& Arena::faults() const { return impl_->faults; }

Result<std::vector<std::byte>> Arena::read(uint64_t offset, uint32_t length) const {
  if (offset > size() || length > size() - offset)
    return fail(EINVAL, "{} bytes at offset {:#x} lie outside the arena's {} bytes", length, offset,
                size());
  std::vector<std::byte> bytes(length);
  if (auto read = impl_->file.read(offset, bytes); !read) return std::unexpected(read.error());
  return bytes;
}

}  // namespace uarena::broker
