// Memory order: what a writer stores into an entry is released one word after the other, behind the
// state that says "writing", and what a reader loads is acquired. So a reader that has seen any
// word of a newer entry sees the newer state afterwards, and throws its copy away.
#include "uffd/fault_trace.h"

#include <algorithm>
#include <bit>

#include "ipc/base/clock.h"

namespace uarena::uffd {
namespace {

// The state word: the number, shifted; two marks below it.
constexpr unsigned kNumberShift = 2;
constexpr uint64_t kWriting = 1;
constexpr uint64_t kWhole = 2;

uint64_t state_of(uint64_t number, uint64_t mark) { return number << kNumberShift | mark; }

// The words of an entry; the first one of a slot is its state.
enum Word : size_t { kState, kTime, kClient, kAddress, kLatency, kRest };

// In the last word: the thread below, then how it ended, then two flags.
constexpr unsigned kEndShift = 32;
constexpr uint64_t kWriteFlag = uint64_t{1} << 40;
constexpr uint64_t kOurThreadFlag = uint64_t{1} << 41;

uint64_t rest_of(const TracedFault& fault) {
  return fault.thread | uint64_t{static_cast<uint8_t>(fault.end)} << kEndShift |
         (fault.write ? kWriteFlag : 0) | (fault.thread_is_ours ? kOurThreadFlag : 0);
}

using Atomic = std::atomic_ref<uint64_t>;

// Puts `number` into the state. True: the entry may be written. Each turn of the loop means that
// somebody else, who is a whole round away, has changed the state in between.
bool claim(Atomic state, uint64_t number) {
  uint64_t old = state.load(std::memory_order_relaxed);
  while ((old >> kNumberShift) < number)
    if (state.compare_exchange_weak(old, state_of(number, kWriting), std::memory_order_acquire,
                                    std::memory_order_relaxed))
      return (old & kWriting) == 0;
  return false;
}

// The mark goes whoever has come by meanwhile; then the entry is nobody's.
void finish(Atomic state, uint64_t number) {
  uint64_t mine = state_of(number, kWriting);
  if (!state.compare_exchange_strong(mine, state_of(number, kWhole), std::memory_order_release,
                                     std::memory_order_relaxed))
    state.fetch_and(~kWriting, std::memory_order_release);
}

}  // namespace

FaultTrace::FaultTrace(MemoryMap slots, uint32_t entries)
    : slots_(std::move(slots)), mask_(entries - 1), since_ns_(realtime_ns()) {}

Result<FaultTrace> FaultTrace::create(uint32_t entries) {
  UARENA_ASSERT(std::has_single_bit(entries), "{} entries", entries);
  auto slots =
      MemoryMap::create(nullptr, size_t{entries} * kWords * sizeof(uint64_t),
                        PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, "a trace");
  if (!slots) return std::unexpected(slots.error());
  return FaultTrace(std::move(*slots), entries);
}

uint64_t* FaultTrace::slot_of(uint64_t number) const {
  return reinterpret_cast<uint64_t*>(slots_.data()) + (number & mask_) * kWords;
}

void FaultTrace::add(const TracedFault& fault) noexcept {
  const uint64_t number = last_.fetch_add(1, std::memory_order_relaxed) + 1;
  uint64_t* const slot = slot_of(number);
  if (!claim(Atomic(slot[kState]), number)) return;
  const auto put = [slot](Word word, uint64_t value) {
    Atomic(slot[word]).store(value, std::memory_order_release);
  };
  put(kTime, fault.time_ns);
  put(kClient, fault.client);
  put(kAddress, fault.address);
  put(kLatency, fault.latency_ns);
  put(kRest, rest_of(fault));
  finish(Atomic(slot[kState]), number);
}

FaultTrace::Slot FaultTrace::read_slot(uint64_t number, TracedFault& out) const {
  uint64_t* const slot = slot_of(number);
  const auto get = [slot](Word word) { return Atomic(slot[word]).load(std::memory_order_acquire); };
  const uint64_t state = get(kState);
  if ((state >> kNumberShift) > number) return Slot::lost;
  if ((state >> kNumberShift) < number || (state & kWriting) != 0) return Slot::unfinished;
  if ((state & kWhole) == 0) return Slot::lost;
  out.number = number;
  out.time_ns = get(kTime);
  out.client = get(kClient);
  out.address = get(kAddress);
  out.latency_ns = get(kLatency);
  const uint64_t rest = get(kRest);
  out.thread = static_cast<uint32_t>(rest);
  out.end = static_cast<FaultEnd>(static_cast<uint8_t>(rest >> kEndShift));
  out.write = (rest & kWriteFlag) != 0;
  out.thread_is_ours = (rest & kOurThreadFlag) != 0;
  return get(kState) == state ? Slot::whole : Slot::lost;
}

FaultTrace::Part FaultTrace::read(uint64_t from, size_t most) const {
  const uint64_t last = last_.load(std::memory_order_acquire);
  const uint64_t oldest = last > mask_ ? last - mask_ : 1;
  Part part;
  part.next = std::max<uint64_t>(from, 1);
  if (part.next < oldest) part.lost = oldest - std::exchange(part.next, oldest);
  for (; part.next <= last && part.faults.size() < most; ++part.next) {
    TracedFault fault;
    const Slot slot = read_slot(part.next, fault);
    if (slot == Slot::unfinished) break;
    if (slot == Slot::whole)
      part.faults.push_back(fault);
    else
      ++part.lost;
  }
  return part;
}

}  // namespace uarena::uffd
