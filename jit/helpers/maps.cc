// Elements of maps (jit/maps). A map argument is the BoundMap that the program was bound to; which
// kinds a function takes, and how long keys and values are, the verifier has checked.
#include "jit/engine.h"
#include "jit/helpers/functions.h"
#include "jit/helpers/locks.h"
#include "jit/maps/map.h"
#include "jit/turns.h"

namespace uarena::jit::helpers {
namespace {

Map& map_of(uint64_t map) {
  auto* bound = pointer<const BoundMap>(map);
  UARENA_ASSERT(bound->map != nullptr, "map {} has no elements", bound->name);
  return *bound->map;
}

const MapField* lock_in(const BoundMap& map) {
  for (const MapField& field : map.fields)
    if (field.kind == MapField::Kind::spin_lock) return &field;
  return nullptr;
}

// BPF_F_LOCK: the value is replaced under its own lock. None: no such element, as if without.
std::optional<int> update_locked(const BoundMap& map, const void* key, const void* value,
                                 uint64_t flags, RunContext* run) {
  const MapField* lock = lock_in(map);
  if (lock == nullptr || flags > kExist) return -EINVAL;
  std::byte* const to = map.map->lookup(key, run->current_cpu());
  if (to == nullptr) return std::nullopt;
  if (flags == kNoExist) return -EEXIST;
  auto* word = reinterpret_cast<uint32_t*>(to + lock->offset);
  if (!lock_word(word, run)) return -EBUSY;
  MapDef shape;
  shape.value_size = map.value_size;
  shape.fields = map.fields;
  copy_value(to, value, shape);
  unlock_word(word);
  if (map.kind == MapKind::array) map.map->forget_timer(to);  // a hash keeps it, as the kernel's
  return 0;
}

}  // namespace

// void *bpf_map_lookup_elem(struct bpf_map *map, const void *key)
uint64_t map_lookup_elem(uint64_t map, uint64_t key, uint64_t, uint64_t, uint64_t,
                         RunContext* run) {
  return reinterpret_cast<uint64_t>(
      map_of(map).lookup(pointer<const void>(key), run->current_cpu()));
}

// long bpf_map_update_elem(struct bpf_map *map, const void *key, const void *value, u64 flags)
uint64_t map_update_elem(uint64_t map, uint64_t key, uint64_t value, uint64_t flags, uint64_t,
                         RunContext* run) {
  const auto* k = pointer<const void>(key);
  const auto* v = pointer<const void>(value);
  if ((flags & kLock) != 0) {
    flags &= ~kLock;
    if (const auto done = update_locked(*pointer<const BoundMap>(map), k, v, flags, run))
      return result(*done);
  }
  return result(map_of(map).update(k, v, flags, run->current_cpu()));
}

// long bpf_map_delete_elem(struct bpf_map *map, const void *key)
uint64_t map_delete_elem(uint64_t map, uint64_t key, uint64_t, uint64_t, uint64_t, RunContext*) {
  return result(map_of(map).erase(pointer<const void>(key)));
}

// void *bpf_map_lookup_percpu_elem(struct bpf_map *map, const void *key, u32 cpu)
uint64_t map_lookup_percpu_elem(uint64_t map, uint64_t key, uint64_t cpu, uint64_t, uint64_t,
                                RunContext*) {
  return reinterpret_cast<uint64_t>(
      map_of(map).lookup(pointer<const void>(key), static_cast<uint32_t>(cpu)));
}

// long bpf_for_each_map_elem(struct bpf_map *map, void *callback_fn, void *callback_ctx, u64
// flags): how many elements it has called back for.
uint64_t for_each_map_elem(uint64_t map, uint64_t callback, uint64_t ctx, uint64_t flags, uint64_t,
                           RunContext* run) {
  if (flags != 0) return result(-EINVAL);
  Map& elements = map_of(map);
  uint64_t called = 0;
  for (uint32_t place = 0; place < elements.places(); ++place) {
    if (!take_turn(run)) return 0;
    const Map::Element element = elements.at(place, run->current_cpu());
    if (element.key == nullptr) continue;
    ++called;
    const uint64_t stop =
        run->program->call_back(callback,
                                {map, reinterpret_cast<uint64_t>(element.key),
                                 reinterpret_cast<uint64_t>(element.value), ctx, 0},
                                *run);
    if (run->ended) return 0;
    if (stop != 0) break;
  }
  return called;
}

}  // namespace uarena::jit::helpers
