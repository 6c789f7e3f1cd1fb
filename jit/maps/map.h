// Maps beside the arena: arrays, per-CPU arrays, hashes. All elements are there from the beginning,
// as in the kernel's preallocated maps, in one piece of memory that belongs to the broker (a memory
// file), so that a successor finds them and a value that a program points to stays where it is.
// What else a map needs is made from that memory when it is opened.
//
// Thread-safe. Values are the programs': two that write one at the same time have to lock it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "jit/object.h"

namespace uarena::jit {

struct BoundMap;
class Timers;

// Flags of update; BPF_F_LOCK is dealt with before (helpers/maps.cc).
inline constexpr uint64_t kAny = 0;
inline constexpr uint64_t kNoExist = 1;
inline constexpr uint64_t kExist = 2;
inline constexpr uint64_t kLock = 4;

class Map {
 public:
  virtual ~Map() = default;

  // `cpu`: of per-CPU maps, whose element. Null: there is none.
  virtual std::byte* lookup(const void* key, unsigned cpu) = 0;
  // 0 or a negative errno, as bpf_map_update_elem and bpf_map_delete_elem return it.
  virtual int update(const void* key, const void* value, uint64_t flags, unsigned cpu) = 0;
  virtual int erase(const void* key) = 0;

  // A walk over all elements that are there: by places, of which some are empty.
  struct Element {
    const std::byte* key = nullptr;  // null: empty
    std::byte* value = nullptr;
  };
  virtual uint32_t places() const = 0;
  virtual Element at(uint32_t place, unsigned cpu) = 0;
  // Of a value of this map, by its address. The key is good until the thread asks again.
  virtual Element element_of(std::byte* value) = 0;

  // Who is told of timers whose element is deleted or replaced. Before the map is used.
  void tell(Timers* timers, const MapDef& def);
  // The element is no more, or another one with the same address.
  void forget_timer(std::byte* value) {
    if (timers_ != nullptr) forget_in(value);
  }

 private:
  void forget_in(std::byte* value);
  Timers* timers_ = nullptr;  // null: nobody, or there are no timers in it
  uint32_t timer_offset_ = 0;
};

// Whether maps of this kind have elements.
bool has_elements(MapKind kind);

// How much memory such a map needs; `cpus` is how many the machine has.
uint64_t map_bytes(const MapDef& def, unsigned cpus);

// On memory of map_bytes() that is all zeros (`fresh`: none of it is read), or was left by a
// predecessor: then elements are what they were, and locks in them are free, as nobody is there who
// holds them.
std::unique_ptr<Map> open_map(const MapDef& def, std::span<std::byte> memory, unsigned cpus,
                              bool fresh);

// Copies a value, but for the parts that only functions may touch.
void copy_value(std::byte* to, const void* from, const MapDef& def);

// Takes away what a dead run has left in those parts: locks that it held, timers that it had set.
void clear_fields(std::byte* value, const MapDef& def);

}  // namespace uarena::jit
