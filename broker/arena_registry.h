// All arenas of the broker, by id and by name, and who uses them. Ids count from 1 and are never
// used again. An arena can be deleted when no client is attached and no program is bound to it;
// both hold an ArenaUse, whose end is the end of the use.
//
// Threads: all functions may be called from any thread. The registry outlives no use: an ArenaUse
// holds what it needs.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "broker/account.h"
#include "broker/address_pool.h"
#include "broker/arena.h"
#include "broker/estate.h"
#include "ipc/base/result.h"

namespace uarena::broker {

// One client's or one program's use of an arena. Movable; empty after a move.
class ArenaUse {
 public:
  enum class Kind { client, program };
  struct Counts {
    std::atomic<uint32_t> clients{0};
    std::atomic<uint32_t> programs{0};
  };

  ArenaUse() = default;
  ArenaUse(ArenaUse&& other) noexcept { *this = std::move(other); }
  ArenaUse& operator=(ArenaUse&& other) noexcept;
  ~ArenaUse() { reset(); }

  explicit operator bool() const { return counts_ != nullptr; }
  void reset();

 private:
  friend class ArenaRegistry;
  ArenaUse(std::shared_ptr<Counts> counts, Kind kind);
  std::shared_ptr<Counts> counts_;
  Kind kind_ = Kind::client;
};

// An arena and how many use it.
struct ArenaStanding {
  std::shared_ptr<Arena> arena;
  uint32_t clients = 0;
  uint32_t programs = 0;
};

// The request that makes an arena, so that a successor which finds it again in a client's socket
// knows that it has been carried out; 0, 0 for an object's load.
struct ArenaCreator {
  uint64_t client = 0;
  uint64_t seq = 0;
};

class ArenaRegistry {
 public:
  // Arenas are entered in the estate, if there is one, and numbered by its ledger.
  explicit ArenaRegistry(Estate* estate = nullptr) : estate_(estate) {}

  // Name and attributes are checked here. EINVAL, E2BIG, ERANGE (arena_attr.h); EEXIST: the name is
  // taken; EBUSY: map_extra overlaps another arena; ENOSPC: no address is left, or no room in the
  // estate. The owner is the account's uid; of `access` counts the rest.
  Result<std::shared_ptr<Arena>> create(std::string_view name_untrusted,
                                        const ArenaAttr& attr_untrusted, Account& account,
                                        ArenaCreator creator = {}, Faulting faulting_untrusted = {},
                                        ArenaAccess access = {});
  // The same, but not in the estate until enter(): for an arena that comes and goes with a load.
  Result<std::shared_ptr<Arena>> create_unentered(std::string_view name_untrusted,
                                                  const ArenaAttr& attr_untrusted, Account& account,
                                                  ArenaAccess access = {});
  // ENOSPC: no room.
  Result<void> enter(const Arena& arena);
  // A predecessor's arena, which is in the estate already. EEXIST, EBUSY: its number, name or
  // address is taken.
  Result<void> adopt(std::shared_ptr<Arena> arena);

  // Null when there is none.
  std::shared_ptr<Arena> find(uint64_t id) const;
  std::shared_ptr<Arena> find(std::string_view name) const;

  // Ids ascending, those above `after`, at most `limit`.
  std::vector<ArenaStanding> list(uint64_t after = 0, size_t limit = SIZE_MAX) const;
  // With an empty arena when there is none.
  ArenaStanding standing(uint64_t id) const;
  size_t size() const;

  // Counts from now until the token goes. Empty when the arena has been removed meanwhile: whoever
  // found it and wants to keep it must look.
  ArenaUse use(const std::shared_ptr<Arena>& arena, ArenaUse::Kind kind);

  // ENOENT; EBUSY while somebody uses it. The arena's memory goes with the last shared_ptr, its
  // name and address are free at once.
  Result<void> remove(uint64_t id);

 private:
  struct Entry {
    std::shared_ptr<Arena> arena;
    std::shared_ptr<ArenaUse::Counts> counts;
  };
  static ArenaStanding standing_of(const Entry& entry);
  Result<uint64_t> take_address(const ArenaAttr& attr);
  Result<std::shared_ptr<Arena>> make(std::string_view name_untrusted,
                                      const ArenaAttr& attr_untrusted, Faulting faulting_untrusted,
                                      Account& account, ArenaCreator creator, ArenaAccess access,
                                      bool enter_now);
  void strike(const Arena& arena);
  uint64_t next_id();

  Estate* estate_;
  mutable std::mutex lock_;
  std::map<uint64_t, Entry> arenas_;
  std::map<std::string, uint64_t, std::less<>> ids_;
  AddressPool addresses_;
  uint64_t next_id_ = 1;  // without an estate
};

}  // namespace uarena::broker
