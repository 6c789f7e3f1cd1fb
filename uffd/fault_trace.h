// The latest faults of an arena, one entry each, for whoever asks what happened there: a ring of
// fixed size into which the fault threads write and which anybody may read, without anybody waiting
// for anybody.
//
// Entries are numbered from 1, and number n lies in slot n % size. A slot is 64 bytes, one cache
// line: a state word and the entry. The state says whose number the slot is about, whether somebody
// is writing it, and whether the entry is whole:
//
//   writer   takes the next number, puts (number, writing) into the state, writes the entry, puts
//            (number, whole) there.
//   reader   copies the entry when the state says (its number, whole) before and after.
//
// A writer that is held up (its thread is not running) can meet one that has come round the whole
// ring. Then the faster one does not touch the entry: it leaves its number in the state, and both
// entries are lost, as if they had been overwritten, which both are soon. So a writer takes a
// bounded number of steps, and what a reader gets is never half one entry and half another.
//
// A reader stops at an entry that is being written or will be at once, and gets it the next time.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "ipc/base/memory_map.h"
#include "ipc/base/result.h"
#include "uffd/counters.h"

namespace uarena::uffd {

struct TracedFault {
  uint64_t number = 0;   // counts from 1, given by the trace
  uint64_t time_ns = 0;  // CLOCK_REALTIME, when its message was read
  uint64_t client = 0;   // id
  uint64_t address = 0;  // exact byte
  uint64_t latency_ns = 0;
  uint32_t thread = 0;
  bool thread_is_ours = false;  // it is a tid of our pid namespace, not of the client's
  bool write = false;
  FaultEnd end = FaultEnd::error;
  friend bool operator==(const TracedFault&, const TracedFault&) = default;
};

class FaultTrace {
 public:
  // 256 KiB for each arena, of which memory is taken as entries come.
  static constexpr uint32_t kEntries = 4096;

  // `entries`: a power of two.
  static Result<FaultTrace> create(uint32_t entries = kEntries);
  FaultTrace(FaultTrace&& other) noexcept
      : slots_(std::move(other.slots_)),
        mask_(other.mask_),
        since_ns_(other.since_ns_),
        last_(other.last_.load()) {}

  // When numbers began, CLOCK_REALTIME. It tells one process's trace from its successor's.
  uint64_t since_ns() const { return since_ns_; }

  // Any thread; never waits. `fault.number` is not looked at.
  void add(const TracedFault& fault) noexcept;

  struct Part {
    std::vector<TracedFault> faults;  // numbers ascending
    uint64_t next = 1;                // where to go on
    uint64_t lost = 0;  // numbers from `from` up to `next` that are not in `faults`: overwritten
  };
  // From number `from` (0 is the same as 1) on what there is still, at most `most` entries.
  Part read(uint64_t from, size_t most) const;

 private:
  // A slot in the mapping: eight words, accessed as atomics only.
  static constexpr size_t kWords = 8;
  enum class Slot { whole, unfinished, lost };

  FaultTrace(MemoryMap slots, uint32_t entries);
  uint64_t* slot_of(uint64_t number) const;
  Slot read_slot(uint64_t number, TracedFault& out) const;

  MemoryMap slots_;
  uint64_t mask_;
  uint64_t since_ns_;
  std::atomic<uint64_t> last_{0};  // the last number that was taken
};

}  // namespace uarena::uffd
