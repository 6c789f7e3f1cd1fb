// The bytes of a state file: offsets, the header, and one page's entry. The format is versioned: a
// broker that finds another version says so and leaves the file alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ipc/base/page.h"

namespace uarena::broker {

enum class PageState : uint8_t { free = 0, allocated = 1, reserved = 2 };

// One page: bits 0..7 state, 8..15 origin (0 when free), 16..63 the number of the free extent that
// begins here (0 everywhere else).
class PageEntry {
 public:
  constexpr PageEntry() = default;
  static constexpr PageEntry from_word(uint64_t word) { return PageEntry(word); }
  static constexpr PageEntry allocated(Origin origin) {
    return PageEntry(uint64_t{1} | static_cast<uint64_t>(origin) << 8);
  }
  static constexpr PageEntry reserved() {
    return PageEntry(uint64_t{2} | static_cast<uint64_t>(Origin::reserved) << 8);
  }
  static constexpr PageEntry free_head(uint64_t seq) { return PageEntry(seq << 16); }

  constexpr PageState state() const { return static_cast<PageState>(word_ & 0xff); }
  constexpr Origin origin() const { return static_cast<Origin>(word_ >> 8 & 0xff); }
  constexpr uint64_t seq() const { return word_ >> 16; }
  constexpr uint64_t word() const { return word_; }

  // Whether an operation could have written it.
  constexpr bool valid() const {
    const uint64_t state_and_origin = word_ & 0xffff;
    if (seq() != 0) return state_and_origin == 0;
    return word_ == 0 || *this == reserved() || *this == allocated(Origin::program) ||
           *this == allocated(Origin::fault) || *this == allocated(Origin::client);
  }
  friend constexpr bool operator==(const PageEntry&, const PageEntry&) = default;

 private:
  constexpr explicit PageEntry(uint64_t word) : word_(word) {}
  uint64_t word_ = 0;
};

namespace state_format {

inline constexpr uint64_t kMagic = 0x0165746174736175;  // the bytes "uastate\x01"
// Version 2 has `fault`, which was 0 in version 1: served, one page for each fault. Version 3 has
// the access words, of which there were none: everybody may do everything. All are read; a file
// keeps its version. (So a broker that knows no modes takes over no arena that was made with one.)
inline constexpr uint32_t kVersion = 3;
inline constexpr uint32_t kOldestVersion = 1;
inline constexpr uint32_t kFirstWithAccess = 3;
inline constexpr size_t kNameSize = 64;

// The fixed struct at offset 0, never changed after creation. `checksum` is checksum_words over
// everything before it.
struct Header {
  uint64_t magic;
  uint32_t version;
  uint32_t header_size;  // sizeof(Header)
  uint64_t arena_id;
  uint64_t user_vm_start;
  uint64_t map_extra;
  uint64_t created_ns;
  uint32_t max_entries;
  uint32_t map_flags;
  uint32_t owner_uid;
  uint32_t reserved;  // 0
  char name[kNameSize];
  uint64_t
      creator_client;    // the request that made it: a client's number and its own of the request;
  uint64_t creator_seq;  // 0, 0: an object's load
  uint32_t fault;        // a FaultWay
  uint32_t fault_around;
  uint64_t future[5];  // 0: room for what later versions of an arena have
  uint64_t checksum;
};
static_assert(sizeof(Header) == 200 && sizeof(Header) % 8 == 0);

// The journal has a page of its own, so that a write there never shares one with the header.
inline constexpr uint64_t kJournal = kPageSize;
inline constexpr uint64_t kTableChecksum = kJournal;
inline constexpr uint64_t kPublished = kJournal + 8;
inline constexpr uint64_t kRetired = kJournal + 16;

// The redo record: words {sequence, fills, new table checksum, (first | count << 32, entry)…,
// checksum_words over all words before}.
inline constexpr uint64_t kRecord = kJournal + 64;
inline constexpr size_t kMaxFills = 8;
inline constexpr size_t kRecordHead = 3;
inline constexpr size_t kMaxRecordWords = kRecordHead + 2 * kMaxFills + 1;

// The last run that was cut off in the middle: words {how many so far, with a CutOff in the highest
// byte (once it was always a broker's death, which is 0, and no byte), program, when
// (nanoseconds, CLOCK_REALTIME), the program's name in 8 words, checksum_words over all before}.
// A mark whose checksum is wrong is none: its writer died.
inline constexpr uint64_t kMark = kJournal + 2048;
inline constexpr int kMarkWhyShift = 56;
inline constexpr size_t kMarkWords = 3 + kNameSize / 8 + 1;

// Who owns the arena and who may do what, twice, so that one is whole whenever the writer of the
// other dies: words {how often it was written, uid | gid << 32, mode, checksum_words over those}.
// The one that was written more often counts; never written, both are 0.
inline constexpr uint64_t kAccess = kJournal + 3072;
inline constexpr size_t kAccessWords = 4;
inline constexpr uint64_t access_offset(uint64_t count) {
  return kAccess + (count & 1) * kAccessWords * 8;
}

inline constexpr uint64_t kTable = 2 * kPageSize;
inline constexpr uint32_t kEntriesPerBlock = kPageSize / 8;
inline constexpr uint64_t file_size(uint32_t pages) {
  return kTable + round_up_to_page(uint64_t{pages} * 8);
}
inline constexpr uint64_t entry_offset(uint64_t page) { return kTable + page * 8; }

}  // namespace state_format
}  // namespace uarena::broker
