// All loaded programs, by id, and the way in: load() takes an object from its bytes to programs
// that can run, or leaves nothing behind. Ids are never reused.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "broker/arena_registry.h"
#include "broker/program.h"

namespace uarena::broker {

struct LoadRequest {
  std::string object_name;
  Who who;                // an arena that is created gets its group
  uint64_t arena_id = 0;  // 0: created from the object's .maps
  int log_level = 0;
  jit::Mode mode = jit::Mode::compile;
  const std::atomic<bool>* cancelled = nullptr;  // becomes true when nobody waits any more
  // From here on it happens: pages of the arena are taken for globals, by one who dies then perhaps
  // without their bytes, and the next load would leave them as they are.
  std::function<void()> before_commit;
};

// All programs of an object are verified within this time, or the load is rejected.
inline constexpr std::chrono::seconds kLoadLimit{20};

struct LoadOutcome {
  std::shared_ptr<ObjectState> object;
  std::vector<std::shared_ptr<const Program>> programs;
  std::string log;             // the verifier's, as far as asked for
  bool arena_created = false;  // from the object's .maps
};

struct LoadFailure {
  Error error;
  std::string log;
};

// Threads: every function may be called from any thread; a load holds no lock while it verifies.
class ProgramRegistry {
 public:
  // Objects are entered in the estate, if there is one, and numbered by its ledger.
  // `timers`: who runs callbacks later; must outlive all programs.
  explicit ProgramRegistry(ArenaRegistry& arenas, Estate* estate = nullptr,
                           jit::Timers* timers = nullptr)
      : arenas_(arenas), estate_(estate), timers_(timers) {}

  // EINVAL/EACCES/E2BIG… with Why::rejected when the object is not acceptable; nothing remains
  // then, not even an arena that the object would have created.
  std::expected<LoadOutcome, LoadFailure> load(std::span<const std::byte> elf_untrusted,
                                               const LoadRequest& request, Account& account);

  // A predecessor's object, which is in the estate already: loaded again, with the numbers and the
  // map memory that it had. `memory` gives the file of a map, by its place among the object's.
  Result<void> load_again(ObjectFile file,
                          const std::function<std::optional<Fd>(size_t map)>& memory,
                          Account& account);

  std::shared_ptr<const Program> find(uint64_t id) const;
  std::vector<std::shared_ptr<const Program>> list(uint64_t after) const;  // ids ascending
  size_t size() const;
  // False: there is none. A run that is under way elsewhere ends first, with the last reference.
  bool unload(uint64_t id);

 private:
  Result<void> enter(ObjectState& object, const LoadRequest& request,
                     std::span<const std::byte> elf, uint32_t owner_uid, uint32_t programs,
                     bool arena_created);
  void strike(const ObjectState& object);
  uint64_t next(Ledger::Counter counter, uint64_t count);

  ArenaRegistry& arenas_;
  Estate* estate_;
  jit::Timers* timers_;
  mutable std::mutex lock_;
  std::map<uint64_t, std::shared_ptr<const Program>> programs_;
  uint64_t given_[static_cast<size_t>(Ledger::Counter::count)] = {};  // without an estate
};

}  // namespace uarena::broker
