// What a successor of this broker has to know and finds neither in an arena's state file nor in the
// name of a stored descriptor: which numbers have been given out, and what was in hand on each run
// channel. It is a memory file of fixed layout, mapped, and written by single stores of 8 bytes, so
// that any moment is a good moment to die.
//
// A request that must not be carried out twice (a run, an allocation) is entered in its channel's
// slot before it is begun, and the slot is cleared after the request has been answered and taken
// out of the socket. So a successor that finds a request in the socket whose number stands in the
// slot knows that it was begun and not that it was ended: its outcome is unknown.
//
// Threads: next(), take_slot() and release_slot() any; a slot belongs to whoever has taken it.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "ipc/base/fd.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/result.h"

namespace uarena::broker {

class Ledger {
 public:
  enum class Counter { client, arena, object, program, map, count };

  // One run channel's request in hand.
  struct Slot {
    std::atomic<uint64_t> begun;     // its number + 1; 0: none
    std::atomic<uint64_t> program;   // PROG_RUN: which; else 0
    std::atomic<uint64_t> begun_ns;  // CLOCK_REALTIME
    std::atomic<uint64_t> unused;
  };
  static_assert(sizeof(Slot) == 32);
  static constexpr uint32_t kSlots = 16384;

  // A new one; numbers count from 1.
  static Result<Ledger> create();
  // A predecessor's: EINVAL when it is none, EPROTONOSUPPORT for another version.
  static Result<Ledger> open_untrusted(Fd fd);
  Ledger(Ledger&&) = default;

  int fd() const { return fd_.get(); }

  // The first of `count` numbers that were never given out before, by whichever broker.
  uint64_t next(Counter counter, uint64_t count = 1);

  bool given(Counter counter, uint64_t number) const;

  // A free slot, cleared; none when all are taken.
  std::optional<uint32_t> take_slot();
  // A predecessor's, as it is. False: out of range or taken.
  bool take_slot(uint32_t slot);
  void release_slot(uint32_t slot);
  Slot& slot(uint32_t slot) const;

 private:
  struct Layout;
  Ledger(Fd fd, MemoryMap map);
  static Result<Ledger> map(Fd fd);
  Layout& layout() const { return *reinterpret_cast<Layout*>(map_.data()); }

  Fd fd_;
  MemoryMap map_;
  struct Slots {
    std::mutex lock;
    std::vector<bool> taken = std::vector<bool>(kSlots);
    uint32_t next = 0;
  };
  std::unique_ptr<Slots> slots_ = std::make_unique<Slots>();
};

}  // namespace uarena::broker
