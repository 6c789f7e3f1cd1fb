// Two maps and an address pool behind one lock. Creation happens under the lock as well: it takes a
// fraction of a millisecond, and no fault ever comes here.
#include "broker/arena_registry.h"

#include <utility>

#include "broker/arena_attr.h"

namespace uarena::broker {

ArenaUse::ArenaUse(std::shared_ptr<Counts> counts, Kind kind)
    : counts_(std::move(counts)), kind_(kind) {
  ++(kind_ == Kind::client ? counts_->clients : counts_->programs);
}

ArenaUse& ArenaUse::operator=(ArenaUse&& other) noexcept {
  if (this != &other) {
    reset();
    counts_ = std::move(other.counts_);
    kind_ = other.kind_;
  }
  return *this;
}

void ArenaUse::reset() {
  if (counts_ == nullptr) return;
  --(kind_ == Kind::client ? counts_->clients : counts_->programs);
  counts_.reset();
}

Result<std::shared_ptr<Arena>> ArenaRegistry::create(std::string_view name_untrusted,
                                                     const ArenaAttr& attr_untrusted,
                                                     Account& account, ArenaCreator creator,
                                                     Faulting faulting_untrusted,
                                                     ArenaAccess access) {
  return make(name_untrusted, attr_untrusted, faulting_untrusted, account, creator, access, true);
}

Result<std::shared_ptr<Arena>> ArenaRegistry::create_unentered(std::string_view name_untrusted,
                                                               const ArenaAttr& attr_untrusted,
                                                               Account& account,
                                                               ArenaAccess access) {
  return make(name_untrusted, attr_untrusted, {}, account, {}, access, false);
}

Result<std::shared_ptr<Arena>> ArenaRegistry::make(std::string_view name_untrusted,
                                                   const ArenaAttr& attr_untrusted,
                                                   Faulting faulting_untrusted, Account& account,
                                                   ArenaCreator creator, ArenaAccess access,
                                                   bool enter_now) {
  if (auto ok = check_name_untrusted(name_untrusted); !ok) return std::unexpected(ok.error());
  if (auto ok = check_attr_untrusted(attr_untrusted); !ok) return std::unexpected(ok.error());
  if (auto ok = check_faulting_untrusted(attr_untrusted, faulting_untrusted); !ok)
    return std::unexpected(ok.error());
  const std::string name(name_untrusted);
  const ArenaAttr& attr = attr_untrusted;

  std::lock_guard guard(lock_);
  if (ids_.contains(name)) return fail(EEXIST, "an arena called \"{}\" exists", name);
  Result<uint64_t> address = take_address(attr);
  if (!address) return std::unexpected(address.error());
  auto arena = Arena::create({next_id(), name, attr, *address, account.uid(), 0, creator.client,
                              creator.seq, faulting_untrusted},
                             account, access);
  if (arena && enter_now)
    if (auto entered = enter(**arena); !entered) arena = std::unexpected(entered.error());
  if (!arena) {
    addresses_.release(*address);
    return std::unexpected(arena.error());
  }
  arenas_.emplace((*arena)->id(), Entry{*arena, std::make_shared<ArenaUse::Counts>()});
  ids_.emplace(name, (*arena)->id());
  return *arena;
}

uint64_t ArenaRegistry::next_id() {
  return estate_ == nullptr ? next_id_++ : estate_->ledger().next(Ledger::Counter::arena);
}

// The state file makes it complete, so it comes last and goes first.
Result<void> ArenaRegistry::enter(const Arena& arena) {
  if (estate_ == nullptr) return {};
  auto entered = estate_->enter({EstateEntry::Kind::memory, arena.id()}, arena.memory_fd());
  if (entered) entered = estate_->enter({EstateEntry::Kind::state, arena.id()}, arena.state_fd());
  if (!entered) strike(arena);
  return entered;
}

void ArenaRegistry::strike(const Arena& arena) {
  if (estate_ == nullptr) return;
  estate_->strike({EstateEntry::Kind::state, arena.id()});
  estate_->strike({EstateEntry::Kind::memory, arena.id()});
}

Result<void> ArenaRegistry::adopt(std::shared_ptr<Arena> arena) {
  std::lock_guard guard(lock_);
  if (arenas_.contains(arena->id()) || ids_.contains(arena->name()))
    return fail(EEXIST, "there is an arena {} or one called \"{}\"", arena->id(), arena->name());
  if (auto ok = addresses_.claim(arena->user_vm_start(), arena->size()); !ok) return ok;
  ids_.emplace(arena->name(), arena->id());
  const uint64_t id = arena->id();
  arenas_.emplace(id, Entry{std::move(arena), std::make_shared<ArenaUse::Counts>()});
  return {};
}

Result<uint64_t> ArenaRegistry::take_address(const ArenaAttr& attr) {
  const uint64_t size = uint64_t{attr.max_entries} * kPageSize;
  if (attr.map_extra == 0) return addresses_.pick(size);
  if (auto ok = addresses_.claim(attr.map_extra, size); !ok) return std::unexpected(ok.error());
  return attr.map_extra;
}

std::shared_ptr<Arena> ArenaRegistry::find(uint64_t id) const {
  std::lock_guard guard(lock_);
  const auto found = arenas_.find(id);
  return found == arenas_.end() ? nullptr : found->second.arena;
}

std::shared_ptr<Arena> ArenaRegistry::find(std::string_view name) const {
  std::lock_guard guard(lock_);
  const auto found = ids_.find(name);
  return found == ids_.end() ? nullptr : arenas_.at(found->second).arena;
}

ArenaStanding ArenaRegistry::standing_of(const Entry& entry) {
  return {entry.arena, entry.counts->clients.load(), entry.counts->programs.load()};
}

std::vector<ArenaStanding> ArenaRegistry::list(uint64_t after, size_t limit) const {
  std::lock_guard guard(lock_);
  std::vector<ArenaStanding> all;
  for (auto it = arenas_.upper_bound(after); it != arenas_.end() && all.size() < limit; ++it)
    all.push_back(standing_of(it->second));
  return all;
}

ArenaStanding ArenaRegistry::standing(uint64_t id) const {
  std::lock_guard guard(lock_);
  const auto found = arenas_.find(id);
  return found == arenas_.end() ? ArenaStanding{} : standing_of(found->second);
}

size_t ArenaRegistry::size() const {
  std::lock_guard guard(lock_);
  return arenas_.size();
}

ArenaUse ArenaRegistry::use(const std::shared_ptr<Arena>& arena, ArenaUse::Kind kind) {
  std::lock_guard guard(lock_);
  const auto found = arenas_.find(arena->id());
  if (found == arenas_.end() || found->second.arena != arena) return {};
  return ArenaUse(found->second.counts, kind);
}

Result<void> ArenaRegistry::remove(uint64_t id) {
  std::lock_guard guard(lock_);
  const auto found = arenas_.find(id);
  if (found == arenas_.end())
    return fail(Why::not_found, ENOENT, "there is no arena with id {}", id);
  const ArenaStanding now = standing_of(found->second);
  if (now.clients != 0 || now.programs != 0)
    return fail(EBUSY, "arena \"{}\" is in use by {} clients and {} programs", now.arena->name(),
                now.clients, now.programs);
  strike(*now.arena);
  ids_.erase(now.arena->name());
  addresses_.release(now.arena->user_vm_start());
  arenas_.erase(found);
  return {};
}

}  // namespace uarena::broker
