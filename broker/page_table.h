// What an arena knows of its pages: free, allocated or reserved, by whom, and where the next
// allocation goes. Every operation changes the state file (the truth), the free set (its index) and
// the counts together, as one step that a successor finds done or not done.
//
// Not thread-safe but for counts(): the arena's lock protects it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "broker/arena.h"
#include "broker/free_set.h"
#include "broker/state_file.h"
#include "broker/table_snapshot.h"

namespace uarena::broker {

class PageTable {
 public:
  static Result<PageTable> create(const ArenaIdentity& identity, ArenaAccess access = {});
  // Takes over a predecessor's file (see StateFile::open_untrusted); EINVAL when the free extents
  // in it make no sense.
  static Result<PageTable> open_untrusted(Fd fd);

  // Where `count` pages would be placed (K36).
  std::optional<uint32_t> find(uint32_t count) const { return free_.find(count); }
  bool all_free(PageRange pages) const { return free_.contains(pages); }
  PageEntry entry(uint32_t page) const { return state_.entry(page); }

  // The pages, all free, become allocated (origin program, fault or client) or reserved.
  void take(PageRange pages, Origin origin);
  // The pages, none of them free, become those of `origin`: reserved pages that a client touched
  // (or reserved again), and pages that changed hands.
  void assign(PageRange pages, Origin origin);
  // The pages become free; how many of them were allocated.
  uint32_t release(PageRange pages);

  // Needs no lock.
  PagesByOrigin counts() const { return counts_.read(); }
  uint32_t allocated() const { return counts().allocated(); }
  uint32_t reserved() const { return counts().reserved(); }
  uint32_t size() const { return state_.page_count(); }
  const FreeSet& free_set() const { return free_; }
  StateFile& state_file() { return state_; }
  const StateFile& state_file() const { return state_; }

  // While registered, a snapshot is kept complete against changes. It must be removed again.
  void add_snapshot(TableSnapshot* snapshot) { snapshots_.push_back(snapshot); }
  void remove_snapshot(TableSnapshot* snapshot) { std::erase(snapshots_, snapshot); }

 private:
  explicit PageTable(StateFile state) : state_(std::move(state)) {}
  PagesByOrigin taken(PageRange pages) const;
  void commit(PageRange pages, PageEntry entry, const FreeSet::Change& change);

  StateFile state_;
  FreeSet free_;
  PageCounts counts_;
  std::vector<TableSnapshot*> snapshots_;
};

}  // namespace uarena::broker
