#include "jit/maps/hash_map.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <random>

namespace uarena::jit {
namespace {

constexpr uint64_t round_up(uint64_t bytes) { return (bytes + 7) & ~uint64_t{7}; }

uint64_t stride_of(const MapDef& def) {
  return sizeof(uint64_t) + round_up(def.key_size) + round_up(def.value_size);
}

// A multiply and a fold for each eight bytes: quick for the short keys that maps have.
uint64_t hash_of(const void* key, size_t size, uint64_t seed) {
  uint64_t hash = seed;
  const auto* bytes = static_cast<const std::byte*>(key);
  for (size_t at = 0; at < size; at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes + at, std::min<size_t>(8, size - at));
    hash = (hash ^ word) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 32;
  }
  return hash;
}

}  // namespace

uint64_t HashMap::bytes(const MapDef& def) {
  return stride_of(def) * (uint64_t{def.max_entries} + 1);
}

HashMap::HashMap(const MapDef& def, std::span<std::byte> memory, bool fresh)
    : def_(def),
      memory_(memory),
      value_offset_(sizeof(uint64_t) + round_up(def.key_size)),
      stride_(stride_of(def)),
      elements_(def.max_entries + 1),
      buckets_(std::bit_ceil(uint64_t{elements_}), kNone),
      next_(elements_, kNone),
      looked_up_(elements_, false),
      seed_((uint64_t{std::random_device()()} << 32) | std::random_device()()) {
  for (uint32_t n = 0; n < elements_; ++n) {
    // Twice the same key: who died had written the new element and not yet given up the old one.
    const bool there =
        !fresh && in_use(n) == 1 && used_ < def_.max_entries && find(key_of(n)) == kNone;
    if (!there) {
      // What was never used stays a hole of the memory file.
      if (!fresh && in_use(n) != 0) in_use(n) = 0;
      free_.push_back(n);
      continue;
    }
    clear_fields(value_of(n), def_);
    link(n);
  }
}

uint32_t& HashMap::bucket_of(const void* key) {
  return buckets_[hash_of(key, def_.key_size, seed_) & (buckets_.size() - 1)];
}

uint32_t HashMap::find(const void* key) {
  uint32_t n = bucket_of(key);
  while (n != kNone && std::memcmp(key_of(n), key, def_.key_size) != 0) n = next_[n];
  return n;
}

void HashMap::link(uint32_t n) {
  uint32_t& bucket = bucket_of(key_of(n));
  next_[n] = bucket;
  bucket = n;
  looked_up_[n] = false;
  ++used_;
}

void HashMap::unlink(uint32_t n) {
  uint32_t* place = &bucket_of(key_of(n));
  while (*place != n) place = &next_[*place];
  *place = next_[n];
  --used_;
}

void HashMap::release(uint32_t n) {
  unlink(n);
  in_use(n).store(0, std::memory_order_release);
  forget_timer(value_of(n));
  free_.push_back(n);
}

std::byte* HashMap::lookup(const void* key, unsigned) {
  const std::scoped_lock guard(lock_);
  const uint32_t n = find(key);
  if (n == kNone) return nullptr;
  if (def_.kind == MapKind::lru_hash) looked_up_[n] = true;
  return value_of(n);
}

// The element that has to go; there is one, since none is free but the spare.
uint32_t HashMap::make_room() {
  while (true) {
    turn_ = (turn_ + 1) % elements_;
    if (in_use(turn_) == 0) continue;
    if (!looked_up_[turn_]) return turn_;
    looked_up_[turn_] = false;
  }
}

int HashMap::update(const void* key, const void* value, uint64_t flags, unsigned) {
  if (flags > kExist) return -EINVAL;
  const std::scoped_lock guard(lock_);
  const uint32_t old = find(key);
  if (old != kNone && flags == kNoExist) return -EEXIST;
  if (old == kNone && flags == kExist) return -ENOENT;
  if (old == kNone && used_ == def_.max_entries) {
    if (def_.kind != MapKind::lru_hash) return -E2BIG;
    release(make_room());
  }
  const uint32_t n = free_.front();
  free_.pop_front();
  std::memcpy(key_of(n), key, def_.key_size);
  std::memset(value_of(n), 0, def_.value_size);
  copy_value(value_of(n), value, def_);
  in_use(n).store(1, std::memory_order_release);
  if (old != kNone) release(old);
  link(n);
  return 0;
}

int HashMap::erase(const void* key) {
  const std::scoped_lock guard(lock_);
  const uint32_t n = find(key);
  if (n == kNone) return -ENOENT;
  release(n);
  return 0;
}

Map::Element HashMap::element_of(std::byte* value) {
  return {value - value_offset_ + sizeof(uint64_t), value};
}

Map::Element HashMap::at(uint32_t place, unsigned) {
  const std::scoped_lock guard(lock_);
  if (in_use(place) == 0) return {};
  return {key_of(place), value_of(place)};
}

}  // namespace uarena::jit
