// What a broker takes over from a predecessor that died: everything in the estate becomes what it
// was. First what others stand on:
//
//   ledger -> arenas (with their pages and the order of free ones) -> objects (verified and
//   compiled anew, on the bytes of their maps as they were) -> a mark on each arena in which a run
//   was cut off
//   -> clients, for the broker to go on with
//
// What came from the store is untrusted as any input: what is damaged or not complete is said in
// the log and left out, with what stands on it. The memory of an arena is never thrown away for
// that: where both its files are there, and this broker can't read its state (it is damaged, or of
// a later version), they stay in the store for one that can.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "broker/account_table.h"
#include "broker/arena_registry.h"
#include "broker/estate.h"
#include "broker/inherited.h"
#include "broker/program_registry.h"

namespace uarena::broker {

using EstateEntries = std::map<EstateEntry, Fd>;

// One client as it was left. The entries stay in the estate.
struct LeftClient {
  uint64_t id = 0;
  Fd socket;
  std::vector<std::pair<EstateEntry, Fd>> attachments;  // by their userfaultfds
  std::vector<std::pair<EstateEntry, Fd>> channels;
  std::map<uint64_t, Fd> guards;  // by arena, of exact attachments
};

// Takes what is ours out of what was inherited.
EstateEntries take_entries(Inherited& inherited);

// The predecessor's estate, or a new one when there was none.
Result<std::unique_ptr<Estate>> open_estate(FdStore& store, EstateEntries& entries);

void take_over_arenas(EstateEntries& entries, Estate& estate, ArenaRegistry& arenas,
                      AccountTable& accounts);
void take_over_objects(EstateEntries& entries, Estate& estate, ProgramRegistry& programs,
                       AccountTable& accounts);
// A run that was begun and has neither been answered nor ended.
void mark_cut_off_runs(const EstateEntries& entries, const Estate& estate,
                       const ProgramRegistry& programs);
std::vector<LeftClient> take_over_clients(EstateEntries& entries);
// Closes what could not go on.
void close_left(LeftClient& client);
// Strikes and closes what nobody has taken.
void drop_entries(EstateEntries& entries, Estate& estate);

}  // namespace uarena::broker
