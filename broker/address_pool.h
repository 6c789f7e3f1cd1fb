// Every arena lives at one address in every process that attaches it, so the broker gives each its
// own: a client may attach any number of them. Where an arena's creator names no address (map_extra
// 0), the pool picks one:
//
//   [0x7e9000000000, 0x7ef000000000)   first: free in plain programs and under ASan, TSan and MSan;
//                                      mappings of the loader were seen down to 0x7efc37163000
//   [0x200000000000, 0x300000000000)   then: 4096 lines of 4 GiB, below every PIE and above ASan's
//                                      shadow (a client under TSan or MSan can't map there)
//   ENOSPC                             after that
//
// Small arenas are packed, but never across a multiple of 4 GiB (K5), and never over the first page
// of such a line: a page there is BPF pointer 0, which cast_user turns into NULL (K57) and which a
// program takes for a failed allocation. Only an arena of exactly 4 GiB, which has no other place,
// starts on the line.
//
// Not thread-safe: the registry's lock protects it.
#pragma once

#include <cstdint>
#include <map>

#include "ipc/base/result.h"

namespace uarena::broker {

struct AddressRegion {
  uint64_t start;
  uint64_t end;
};
inline constexpr AddressRegion kAddressRegions[] = {{0x7e9000000000, 0x7ef000000000},
                                                    {0x200000000000, 0x300000000000}};

class AddressPool {
 public:
  // An address for `size` bytes (a multiple of the page size, 1 page..4 GiB); ENOSPC when every
  // region is full.
  Result<uint64_t> pick(uint64_t size);
  // Takes [start, start + size) anywhere; EBUSY when it overlaps an address that is in use. The
  // range does not wrap (checked as attributes of an arena).
  Result<void> claim(uint64_t start, uint64_t size);
  // Gives back what pick or claim gave.
  void release(uint64_t start);

 private:
  // The lowest place for `size` bytes in [start, end), 0 when there is none.
  uint64_t place(AddressRegion region, uint64_t size) const;

  std::map<uint64_t, uint64_t> used_;  // start -> last byte (an end could be 2^64)
};

}  // namespace uarena::broker
