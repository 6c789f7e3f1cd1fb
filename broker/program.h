// What is left of a BPF object once it is loaded: its maps, its tie to an arena, and its programs,
// each of which can be run by any thread. The last user lets it go: a program that is unloaded
// while it runs elsewhere ends its run first.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/account.h"
#include "broker/arena.h"
#include "broker/arena_registry.h"
#include "broker/map_memory.h"
#include "broker/object_file.h"
#include "jit/engine.h"
#include "jit/fault_reports.h"
#include "jit/maps/map.h"
#include "jit/maps/ring_buffer.h"
#include "jit/program_type.h"
#include "jit/timers.h"
#include "jit/trace_log.h"

namespace uarena::broker {

// One map as a client may see it.
struct MapInfo {
  uint64_t id = 0;
  std::string name;
  uint32_t type = 0;
  uint32_t value_size = 0;
  uint32_t max_entries = 0;
  uint32_t map_flags = 0;
};

struct Program;

// What all programs of one object share. Immutable once loaded, but for the bytes of the maps.
struct ObjectState {
  std::string name;
  std::shared_ptr<Arena> arena;  // null: the object has none
  std::deque<MapMemory> memory;  // behind all maps but the arena
  Charge memory_pages;           // of all these
  Charge broker_memory;          // with what the broker makes of them
  std::deque<std::unique_ptr<jit::Map>> elements;
  std::deque<jit::RingBuffer> rings;
  std::deque<jit::BoundMap> bound;  // one per Object::maps; addresses are in compiled code
  std::vector<MapInfo> maps;
  std::optional<ObjectFile> file;  // for a successor

  // The maps whose bytes a successor takes over, by their places among the object's, with their
  // files.
  std::vector<std::pair<size_t, int>> kept_memory() const;
  jit::Timers* timers = nullptr;                       // of the broker
  std::vector<std::weak_ptr<const Program>> programs;  // by their places in the object
  std::atomic<uint32_t> loaded{0};                     // programs that have not been unloaded
};

struct Program {
  uint64_t id = 0;
  uint32_t index = 0;  // in its object
  std::string name;
  std::string section;
  jit::ProgramType type = jit::ProgramType::syscall;
  uint32_t owner_uid = 0;
  Account* account = nullptr;  // the owner's
  uint32_t insns = 0;
  uint32_t ctx_size = 0;
  std::shared_ptr<ObjectState> object;  // destroyed after `executable`
  ArenaUse use;                         // keeps the arena from being deleted
  std::unique_ptr<jit::Executable> executable;
  Charge charge;
  mutable std::atomic<uint64_t> run_cnt{0};
  mutable std::atomic<uint64_t> run_time_ns{0};
  mutable std::atomic<uint64_t> ended_cnt{0};  // of them: ended in the middle
  mutable jit::TraceLog log;                   // what it has printed
  mutable jit::TraceLog out;                   // its streams
  mutable jit::TraceLog err;
  mutable jit::FaultReports reports;          // what is to be told on stderr
  mutable std::atomic<bool> unloaded{false};  // a run elsewhere may go on
};

struct RunResult {
  uint64_t r0 = 0;
  uint64_t duration_ns = 0;  // mean of one run
  uint32_t repeat = 1;
  uint64_t faults = 0;  // accesses to absent arena pages in all runs
};

// A request begins no repetition after this long and ends with ETIME, so that its repetitions can't
// hold a runner for ever. It is the limit of one run, too: one that is in a loop then is ended in
// the middle (jit/turns.h).
inline constexpr uint64_t kRunLimitNs = 10'000'000'000;

// Runs the program `repeat` times on the calling thread. `ctx` is passed in and left as the program
// left it. EINVAL: ctx smaller than what the program accesses (as the kernel's TEST_RUN does).
// Programs that take packets get `packet`, and what `ctx` may be is said in jit/packet.h.
// `cancel` becoming true ends the run under way in its next loop, and the repetitions with
// ECANCELED. ETIMEDOUT: a run had its time and was ended; its place in the program is named. A run
// that was ended is marked on its arena and counted.
Result<RunResult> run_program(const Program& program, std::span<std::byte> ctx, uint32_t repeat,
                              const std::atomic<bool>& cancel, uint64_t limit_ns = kRunLimitNs,
                              const jit::Caller* caller = nullptr,
                              std::span<std::byte> packet = {});

// The program's stderr with everything that there is to tell.
jit::TraceLog::Content stderr_of(const Program& program);

// A run of its own that consists of a timer's callback. What ended it is logged and marked as for
// any run.
void run_callback(const Program& program, uint32_t callback, const jit::CallbackArgs& args,
                  const std::atomic<bool>& cancel, uint64_t limit_ns = kRunLimitNs);

}  // namespace uarena::broker
