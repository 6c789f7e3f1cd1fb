// Pages, and the numbers of bpf_arena that every room needs. The names are the kernel's.
// Sources: rows K2-K5 and K11 of the kernel behaviour table (docs/kernel-parity.md).
#pragma once

#include <cstdint>

namespace uarena {

inline constexpr uint64_t kPageShift = 12;
inline constexpr uint64_t kPageSize = uint64_t{1} << kPageShift;
inline constexpr uint64_t kPageMask = ~(kPageSize - 1);

// The largest arena: what a 32-bit offset can address (K4).
inline constexpr uint64_t kMaxArenaSize = uint64_t{1} << 32;
inline constexpr uint32_t kMaxArenaPages = kMaxArenaSize / kPageSize;

// GUARD_SZ: a load or store adds a signed 16-bit offset to a 32-bit address, so it can land up to
// 32 KiB below or above the 4 GiB. The kernel view keeps half of this inaccessible on each side
// (K11): kern_vm_start = reservation + kGuardSize / 2.
inline constexpr uint64_t kGuardSize = uint64_t{1} << 16;

inline constexpr uint32_t kBpfMapTypeArena = 33;                 // BPF_MAP_TYPE_ARENA
inline constexpr uint32_t kBpfFMmapable = uint32_t{1} << 10;     // BPF_F_MMAPABLE
inline constexpr uint32_t kBpfFSegvOnFault = uint32_t{1} << 17;  // BPF_F_SEGV_ON_FAULT
inline constexpr uint32_t kBpfFNoUserConv = uint32_t{1} << 18;   // BPF_F_NO_USER_CONV

// A run of pages inside an arena; page 0 is the page at user_vm_start.
struct PageRange {
  uint32_t first = 0;
  uint32_t count = 0;
  uint64_t end() const { return uint64_t{first} + count; }
  friend bool operator==(const PageRange&, const PageRange&) = default;
};

// Who put a page there. Wire format (abi.h, UARENA_ORIGIN_*).
enum class Origin : uint8_t {
  program = 1,   // bpf_arena_alloc_pages in a BPF program
  fault = 2,     // a client's page fault
  client = 3,    // uarena_alloc of a client
  reserved = 4,  // bpf_arena_reserve_pages: taken, but no page
};

inline constexpr bool page_aligned(uint64_t value) { return (value & ~kPageMask) == 0; }
inline constexpr uint64_t round_up_to_page(uint64_t value) {
  return (value + kPageSize - 1) & kPageMask;
}

}  // namespace uarena
