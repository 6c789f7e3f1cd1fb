// Arrays, which need nothing but their memory, and what all maps have in common.
#include "jit/maps/map.h"

#include <cerrno>
#include <cstring>

#include "jit/maps/hash_map.h"
#include "jit/timers.h"

namespace uarena::jit {
namespace {

constexpr uint64_t stride_of(const MapDef& def) {
  return (uint64_t{def.value_size} + 7) & ~uint64_t{7};
}

// One value for each index; of a per-CPU array one for each index and CPU, CPU by CPU.
class ArrayMap final : public Map {
 public:
  ArrayMap(const MapDef& def, std::span<std::byte> memory, unsigned cpus, bool fresh)
      : def_(def), memory_(memory), cpus_(def.kind == MapKind::percpu_array ? cpus : 1) {
    if (fresh || def_.fields.empty()) return;
    for (uint64_t n = 0; n < uint64_t{def_.max_entries} * cpus_; ++n)
      clear_fields(memory_.data() + n * stride_of(def_), def_);
  }

  std::byte* lookup(const void* key, unsigned cpu) override {
    uint32_t index = 0;
    std::memcpy(&index, key, sizeof index);
    return value_at(index, cpu);
  }

  int update(const void* key, const void* value, uint64_t flags, unsigned cpu) override {
    if (flags > kExist) return -EINVAL;
    std::byte* const to = lookup(key, cpu);
    if (to == nullptr) return -E2BIG;
    if (flags == kNoExist) return -EEXIST;
    copy_value(to, value, def_);
    forget_timer(to);
    return 0;
  }

  int erase(const void*) override { return -EINVAL; }

  uint32_t places() const override { return def_.max_entries; }
  Element at(uint32_t place, unsigned cpu) override {
    // A key that a callback may look at: it lies where the next call on this thread puts its own.
    thread_local uint32_t key;
    key = place;
    return {reinterpret_cast<const std::byte*>(&key), value_at(place, cpu)};
  }

  Element element_of(std::byte* value) override {
    const auto nth = static_cast<uint64_t>(value - memory_.data()) / stride_of(def_);
    return at(static_cast<uint32_t>(nth % def_.max_entries),
              static_cast<unsigned>(nth / def_.max_entries));
  }

 private:
  std::byte* value_at(uint32_t index, unsigned cpu) const {
    const unsigned part = cpus_ == 1 ? 0 : cpu;
    if (index >= def_.max_entries || part >= cpus_) return nullptr;
    return memory_.data() + (uint64_t{part} * def_.max_entries + index) * stride_of(def_);
  }

  const MapDef def_;
  const std::span<std::byte> memory_;
  const unsigned cpus_;
};

}  // namespace

void Map::tell(Timers* timers, const MapDef& def) {
  for (const MapField& field : def.fields) {
    if (field.kind != MapField::Kind::timer) continue;
    timers_ = timers;
    timer_offset_ = field.offset;
  }
}

void Map::forget_in(std::byte* value) { timers_->forget(value + timer_offset_); }

bool has_elements(MapKind kind) {
  return kind == MapKind::array || kind == MapKind::percpu_array || kind == MapKind::hash ||
         kind == MapKind::lru_hash;
}

uint64_t map_bytes(const MapDef& def, unsigned cpus) {
  switch (def.kind) {
    case MapKind::array:
      return stride_of(def) * def.max_entries;
    case MapKind::percpu_array:
      return stride_of(def) * def.max_entries * cpus;
    case MapKind::hash:
    case MapKind::lru_hash:
      return HashMap::bytes(def);
    default:
      return def.value_size;
  }
}

std::unique_ptr<Map> open_map(const MapDef& def, std::span<std::byte> memory, unsigned cpus,
                              bool fresh) {
  UARENA_ASSERT(has_elements(def.kind) && memory.size() >= map_bytes(def, cpus), "map {}: {} bytes",
                def.name, memory.size());
  if (def.kind == MapKind::array || def.kind == MapKind::percpu_array)
    return std::make_unique<ArrayMap>(def, memory, cpus, fresh);
  return std::make_unique<HashMap>(def, memory, fresh);
}

void copy_value(std::byte* to, const void* from, const MapDef& def) {
  const auto* bytes = static_cast<const std::byte*>(from);
  uint32_t done = 0;
  for (const MapField& field : def.fields) {
    std::memcpy(to + done, bytes + done, field.offset - done);
    done = field.offset + field.size;
  }
  std::memcpy(to + done, bytes + done, def.value_size - done);
}

void clear_fields(std::byte* value, const MapDef& def) {
  for (const MapField& field : def.fields) std::memset(value + field.offset, 0, field.size);
}

}  // namespace uarena::jit
