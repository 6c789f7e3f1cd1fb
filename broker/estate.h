// What a successor inherits, entry by entry: the descriptors in the store, under names that say
// what they are, and the ledger. Whoever makes something that must outlive the broker enters it
// here before anybody hears of it, and strikes it out when it goes.
//
//   ledger              numbers given out, requests in hand
//   mem.A, state.A      memory file and state file of arena A
//   obj.O, map.O.N      a loaded object's file, and the bytes of its map N
//   client.C            a greeted client's control connection
//   uffd.C.A, full.C.A  its userfaultfd for arena A; "full": it serves faults of system calls, too
//   dir.C.A             its attachment to arena A whose faults are direct (an eventfd, for want of
//                       something that it has)
//   grd.C.A             our end of the socket on which it is asked for guards, if it is exact
//   run.C.S             a run channel of it, with slot S of the ledger
//
// Names are short, as the manager has room for so many bytes of them. Where something has two
// descriptors, the one that makes it complete is entered last and struck out first.
//
// Threads: any.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "broker/fd_store.h"
#include "broker/ledger.h"

namespace uarena::broker {

struct EstateEntry {
  enum class Kind {
    ledger,
    memory,
    state,
    object,
    map,
    client,
    uffd,
    full_uffd,
    direct,
    guards,
    run
  };
  Kind kind = Kind::ledger;
  uint64_t first = 0;   // arena, object or client
  uint64_t second = 0;  // map, arena or slot
  friend auto operator<=>(const EstateEntry&, const EstateEntry&) = default;

  std::string name() const;
  // None: not a name of ours.
  static std::optional<EstateEntry> parse_untrusted(std::string_view name);
};

class Estate;

// An entry that is struck out when this goes. Movable; empty after a move.
class EstateHold {
 public:
  EstateHold() = default;
  EstateHold(Estate& estate, EstateEntry entry) : estate_(&estate), entry_(entry) {}
  EstateHold(EstateHold&& other) noexcept { *this = std::move(other); }
  EstateHold& operator=(EstateHold&& other) noexcept {
    std::swap(estate_, other.estate_);
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~EstateHold();
  const EstateEntry& entry() const { return entry_; }

 private:
  Estate* estate_ = nullptr;
  EstateEntry entry_;
};

// A slot of the ledger that is given back when this goes. Movable; empty after a move.
class LedgerSlot {
 public:
  LedgerSlot() = default;
  LedgerSlot(Ledger& ledger, uint32_t slot) : ledger_(&ledger), slot_(slot) {}
  LedgerSlot(LedgerSlot&& other) noexcept { *this = std::move(other); }
  LedgerSlot& operator=(LedgerSlot&& other) noexcept {
    std::swap(ledger_, other.ledger_);
    std::swap(slot_, other.slot_);
    return *this;
  }
  ~LedgerSlot() {
    if (ledger_ != nullptr) ledger_->release_slot(slot_);
  }
  explicit operator bool() const { return ledger_ != nullptr; }
  uint32_t number() const { return slot_; }
  Ledger::Slot& operator*() const { return ledger_->slot(slot_); }
  Ledger::Slot* operator->() const { return &ledger_->slot(slot_); }

 private:
  Ledger* ledger_ = nullptr;
  uint32_t slot_ = 0;
};

class Estate {
 public:
  // A new one, with a ledger that is entered here (else nothing will be there for a successor,
  // which the log says); or a predecessor's.
  static Result<std::unique_ptr<Estate>> create(FdStore& store);
  static Result<std::unique_ptr<Estate>> open_untrusted(FdStore& store, Fd ledger);

  // ENOSPC: the manager has no room for it.
  Result<void> enter(const EstateEntry& entry, int fd);
  Result<EstateHold> hold(const EstateEntry& entry, int fd);
  // EMFILE: all are taken.
  Result<LedgerSlot> take_slot();
  void strike(const EstateEntry& entry);

  // Whether there will be a successor who could use it.
  bool kept() const { return store_.available(); }
  Ledger& ledger() { return ledger_; }
  const Ledger& ledger() const { return ledger_; }

 private:
  Estate(FdStore& store, Ledger ledger) : store_(store), ledger_(std::move(ledger)) {}

  FdStore& store_;
  Ledger ledger_;
};

}  // namespace uarena::broker
