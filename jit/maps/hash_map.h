// Hash maps. The memory is an array of elements, each with a word that says whether it is in use,
// its key and its value; which element is where in the hash is known only in this process and made
// anew from the elements when a map is opened. So one store makes an element exist or not, at
// whatever moment a broker dies.
//
// There is one element more than the map may have: an update of a key that is there fills a free
// element and puts it in the place of the old one, whose value others may be reading.
// Free elements are used in the order in which they became free, so that such a value stays as it
// was for as long as can be.
//
// LRU: where no element is free, the next one in turn that nobody has looked up since its last turn
// makes room.
#pragma once

#include <atomic>
#include <deque>
#include <mutex>
#include <vector>

#include "jit/maps/map.h"

namespace uarena::jit {

class HashMap final : public Map {
 public:
  HashMap(const MapDef& def, std::span<std::byte> memory, bool fresh);
  static uint64_t bytes(const MapDef& def);

  std::byte* lookup(const void* key, unsigned cpu) override;
  int update(const void* key, const void* value, uint64_t flags, unsigned cpu) override;
  int erase(const void* key) override;
  uint32_t places() const override { return elements_; }
  Element at(uint32_t place, unsigned cpu) override;
  Element element_of(std::byte* value) override;

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};

  std::byte* element(uint32_t n) const { return memory_.data() + n * stride_; }
  std::byte* key_of(uint32_t n) const { return element(n) + sizeof(uint64_t); }
  std::byte* value_of(uint32_t n) const { return element(n) + value_offset_; }
  std::atomic_ref<uint64_t> in_use(uint32_t n) const {
    return std::atomic_ref(*reinterpret_cast<uint64_t*>(element(n)));
  }

  uint32_t& bucket_of(const void* key);
  uint32_t find(const void* key);
  void link(uint32_t n);
  void unlink(uint32_t n);
  void release(uint32_t n);
  uint32_t make_room();

  const MapDef def_;
  const std::span<std::byte> memory_;
  const uint64_t value_offset_;
  const uint64_t stride_;
  const uint32_t elements_;

  std::mutex lock_;
  std::vector<uint32_t> buckets_;  // first element of each chain
  std::vector<uint32_t> next_;     // per element
  std::vector<bool> looked_up_;    // LRU: since its last turn
  std::deque<uint32_t> free_;
  uint32_t used_ = 0;
  uint32_t turn_ = 0;
  uint64_t seed_;  // so that nobody can choose keys that all meet in one chain
};

}  // namespace uarena::jit
