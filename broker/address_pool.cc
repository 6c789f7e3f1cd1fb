// First fit: walk the used ranges of a region in ascending order and take the first gap in which
// the arena has a legal place. Arenas are few and created rarely, so a walk is enough.
#include "broker/address_pool.h"

#include "ipc/base/page.h"

namespace uarena::broker {
namespace {

constexpr uint64_t kLine = kMaxArenaSize;

// The lowest address at or above `from` where `size` bytes may start.
uint64_t legal_start(uint64_t from, uint64_t size) {
  const uint64_t line = from & ~(kLine - 1);
  if (size == kLine) return from == line ? line : line + kLine;
  const uint64_t start = from == line ? line + kPageSize : from;
  return start + size <= line + kLine ? start : line + kLine + kPageSize;
}

}  // namespace

uint64_t AddressPool::place(AddressRegion region, uint64_t size) const {
  uint64_t start = legal_start(region.start, size);
  // The range before the region may reach into it.
  auto next = used_.lower_bound(region.start);
  if (next != used_.begin()) --next;
  for (; next != used_.end() && next->first < start + size; ++next)
    if (next->second >= start) start = legal_start(next->second + 1, size);
  return start + size <= region.end ? start : 0;
}

Result<uint64_t> AddressPool::pick(uint64_t size) {
  UARENA_ASSERT(size > 0 && size <= kMaxArenaSize && page_aligned(size), "size {}", size);
  for (const AddressRegion& region : kAddressRegions)
    if (const uint64_t start = place(region, size); start != 0) {
      used_.emplace(start, start + (size - 1));
      return start;
    }
  return fail(ENOSPC, "no address is left for an arena of {} bytes: {} arenas exist", size,
              used_.size());
}

Result<void> AddressPool::claim(uint64_t start, uint64_t size) {
  const uint64_t last = start + (size - 1);
  UARENA_ASSERT(size > 0 && last >= start, "claim of {} bytes at {:#x}", size, start);
  // Ranges do not overlap, so only the last one that starts at or below our end can touch us.
  auto after = used_.upper_bound(last);
  if (after != used_.begin()) {
    const auto& [other_start, other_last] = *std::prev(after);
    if (other_last >= start)
      return fail(EBUSY, "{:#x}-{:#x} overlaps the arena at {:#x}-{:#x}", start, last, other_start,
                  other_last);
  }
  used_.emplace(start, last);
  return {};
}

void AddressPool::release(uint64_t start) {
  const size_t erased = used_.erase(start);
  UARENA_ASSERT(erased == 1, "{:#x} is not in use", start);
}

}  // namespace uarena::broker
