// The truth about an arena's pages, in a memfd of its own that no client ever sees, written so that
// any moment is a good moment to die: a successor that opens the file finds the state before or
// after an operation, never a mix, and with it the order in which free pages are given out (K36).
//
// Layout, all words of 8 bytes, little-endian (offsets in state_format.h):
//   header   magic, version, who the arena is, checksum; never changes after creation
//   journal  table_checksum, published, retired; then one redo record: sequence, number of fills,
//            the new table checksum, the fills (pages, entry), checksum of the record
//   table    one entry per page: state, origin, and on the first page of each free extent its
//            sequence number. 0 is "free, not the first", so a new table is a hole
//
// An operation is up to kMaxFills fills. The order of stores, each of 8 bytes and so indivisible,
// each visible before the next (x86-64 keeps stores in order; the compiler is told to):
//   1. the record with sequence = retired + 1; until step 2 nobody looks at it
//   2. published = sequence                     from here on the operation will have happened
//   3. the table's entries
//   4. table_checksum = the record's
//   5. retired = sequence                       from here on the record is scrap
// Death before 2: the old state. Death after 2: open() finds published == retired + 1, does 3 to 5
// (again), and has the new state. A successor that dies doing so leaves the same to the next.
// This holds against the death of the process; the file is memory and does not outlive the machine.
//
// Not thread-safe: the arena's lock protects it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "broker/arena.h"
#include "broker/arena_access.h"
#include "broker/state_format.h"
#include "ipc/base/fd.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "ipc/base/result.h"

namespace uarena::broker {

class StateFile {
 public:
  struct Fill {
    PageRange pages;
    PageEntry entry;
  };
  static constexpr size_t kMaxFills = state_format::kMaxFills;

  // A new file, in which every page is free and page 0 begins the only free extent, with number 1.
  // Its first owner is who made it; of `access` count group and mode.
  static Result<StateFile> create(const ArenaIdentity& identity, ArenaAccess access = {});

  // Takes over a file: EINVAL for something that is no state file or is damaged, EPROTONOSUPPORT
  // for another version of the format. Finishes an operation that was published. What the fd is,
  // is untrusted; afterwards every entry is one that PageEntry can express.
  static Result<StateFile> open_untrusted(Fd fd);

  const ArenaIdentity& identity() const { return identity_; }
  uint32_t page_count() const { return identity_.attr.max_entries; }
  int fd() const { return fd_.get(); }

  PageEntry entry(uint32_t page) const;
  // The operation, as a whole. Later fills win where they overlap; at most kMaxFills.
  void apply(std::span<const Fill> fills);

  // Of a file of an older version: its first owner, group 0, everybody may do everything.
  void set_access(const ArenaAccess& access);
  ArenaAccess access() const { return access_; }

  void set_cut_off_runs(const CutOffRuns& runs);
  CutOffRuns cut_off_runs() const;

  // Entries [first, first + out.size()) as they are.
  void copy(uint32_t first, std::span<PageEntry> out) const;

  // Test seam: every later store is appended to `log` (null: no longer).
  struct Store {
    uint64_t offset;
    uint64_t value;
  };
  void record_stores(std::vector<Store>* log) { log_ = log; }

 private:
  StateFile(Fd fd, MemoryMap map, ArenaIdentity identity);
  void store(uint64_t offset, uint64_t value);
  Result<void> read_access_untrusted();
  uint64_t load(uint64_t offset) const;
  // Blocks of the table of one page each: one that was never written is not read either, since a
  // read of a hole through a mapping would fill it.
  bool touched(uint32_t page) const { return touched_[page / state_format::kEntriesPerBlock]; }

  uint64_t checksum_after(std::span<const Fill> fills) const;
  void write_record(uint64_t sequence, std::span<const Fill> fills, uint64_t checksum);
  void write_entries(std::span<const Fill> fills);
  Result<void> find_touched_blocks();
  Result<void> redo_untrusted();
  Result<void> verify_table_untrusted() const;

  Fd fd_;
  MemoryMap map_;
  ArenaIdentity identity_;
  ArenaAccess access_;
  uint64_t access_count_ = 0;  // how often it was written
  std::vector<bool> touched_;
  std::vector<Store>* log_ = nullptr;
};

}  // namespace uarena::broker
