// From an object's bytes to programs that can run, step by step:
//
//   parse -> bind the arena -> bind the maps -> load, verify, fix up, compile -> install globals
//
// Everything that one load builds up is here, and until commit() it can be dropped as it is: an
// arena that was created for the object is removed again.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "broker/program_registry.h"
#include "jit/object.h"
#include "jit/program.h"

namespace uarena::broker {

class Loading {
 public:
  // Where the bytes of a map come from that a predecessor has left; none: they are made.
  using Memory = std::function<std::optional<Fd>(size_t map)>;

  Loading(ArenaRegistry& arenas, const LoadRequest& request, Account& account, jit::Timers* timers,
          Memory memory = {})
      : arenas_(arenas), request_(request), account_(account), memory_(std::move(memory)) {
    object_->timers = timers;
    object_->memory_pages = account.charge_anyway(Resource::pages, 0);
    object_->broker_memory = account.memory().charge_anyway(Resource::pages, 0);
  }
  Loading(const Loading&) = delete;
  Loading& operator=(const Loading&) = delete;
  ~Loading();

  Result<void> parse(std::span<const std::byte> elf_untrusted);
  Result<void> bind_arena();
  Result<void> bind_maps();
  Result<void> build_programs();
  Result<void> install_globals();
  void commit() { committed_ = true; }

  const std::shared_ptr<ObjectState>& object() const { return object_; }
  std::vector<std::shared_ptr<Program>>& programs() { return programs_; }
  bool arena_created() const { return created_arena_ != 0; }
  std::string take_log() { return std::move(log_); }

 private:
  Result<void> open_map(const jit::MapDef& def, jit::BoundMap* bound);
  Result<void> charge_map(const jit::MapDef& def);
  Result<MapMemory> map_memory(const jit::MapDef& def);
  Result<std::shared_ptr<Program>> build_program(size_t index);
  jit::Constants constants() const;

  ArenaRegistry& arenas_;
  const LoadRequest& request_;
  const std::chrono::steady_clock::time_point deadline_ =
      std::chrono::steady_clock::now() + kLoadLimit;
  Account& account_;
  const Memory memory_;
  jit::Object parsed_;
  jit::CallTable functions_;
  jit::Binding binding_;
  std::shared_ptr<ObjectState> object_ = std::make_shared<ObjectState>();
  ArenaUse use_;  // ours, until each program has its own
  std::vector<std::shared_ptr<Program>> programs_;
  std::string log_;
  uint64_t created_arena_ = 0;
  bool committed_ = false;
};

}  // namespace uarena::broker
