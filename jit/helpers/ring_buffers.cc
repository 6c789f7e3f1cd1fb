// Records of ring buffers (jit/maps/ring_buffer.h). A record that a program has reserved is held by
// its run until it is submitted or discarded.
#include <linux/bpf.h>

#include <cstring>

#include "jit/engine.h"
#include "jit/helpers/functions.h"
#include "jit/maps/ring_buffer.h"

namespace uarena::jit::helpers {
namespace {

RingBuffer& ring_of(uint64_t map) {
  auto* bound = pointer<const BoundMap>(map);
  UARENA_ASSERT(bound->ring != nullptr, "map {} is no ring buffer", bound->name);
  return *bound->ring;
}

// The ring whose data the record is in: a program holds nothing but the record's address.
RingBuffer* ring_with(const void* record, const RunContext* run) {
  for (const BoundMap* map : run->program->maps()) {
    if (map->ring == nullptr) continue;
    const auto data = map->ring->data();
    if (record >= data.data() && record < data.data() + data.size()) return map->ring;
  }
  return nullptr;
}

void finish(void* record, RunContext* run, bool discard) {
  RingBuffer* ring = ring_with(record, run);
  UARENA_ASSERT(ring != nullptr, "record {} is in no ring buffer", record);
  ring->commit(static_cast<std::byte*>(record), discard);
}

void give_up(void* record, RunContext* run) { finish(record, run, true); }

}  // namespace

// void *bpf_ringbuf_reserve(void *ringbuf, u64 size, u64 flags): NULL also for flags, as there.
uint64_t ringbuf_reserve(uint64_t map, uint64_t size, uint64_t flags, uint64_t, uint64_t,
                         RunContext* run) {
  if (flags != 0) return 0;
  RingBuffer& ring = ring_of(map);
  std::byte* record = ring.reserve(size);
  if (record == nullptr) return 0;
  if (!run->held.add(record, give_up)) {
    ring.commit(record, true);
    return 0;
  }
  return reinterpret_cast<uint64_t>(record);
}

// void bpf_ringbuf_submit(void *data, u64 flags). Flags say whom to wake; nobody sleeps here.
uint64_t ringbuf_submit(uint64_t record, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  run->held.remove(pointer<void>(record));
  finish(pointer<void>(record), run, false);
  return 0;
}

uint64_t ringbuf_discard(uint64_t record, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  run->held.remove(pointer<void>(record));
  finish(pointer<void>(record), run, true);
  return 0;
}

// long bpf_ringbuf_output(void *ringbuf, void *data, u64 size, u64 flags)
uint64_t ringbuf_output(uint64_t map, uint64_t data, uint64_t size, uint64_t flags, uint64_t,
                        RunContext*) {
  if ((flags & ~uint64_t{BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP}) != 0) return result(-EINVAL);
  RingBuffer& ring = ring_of(map);
  std::byte* record = ring.reserve(size);
  if (record == nullptr) return result(-EAGAIN);
  std::memcpy(record, pointer<const void>(data), size);
  ring.commit(record, false);
  return 0;
}

// u64 bpf_ringbuf_query(void *ringbuf, u64 flags)
uint64_t ringbuf_query(uint64_t map, uint64_t flags, uint64_t, uint64_t, uint64_t, RunContext*) {
  const RingBuffer& ring = ring_of(map);
  switch (flags) {
    case BPF_RB_AVAIL_DATA:
      return ring.producer() - ring.consumer();
    case BPF_RB_RING_SIZE:
      return ring.data_bytes();
    case BPF_RB_CONS_POS:
      return ring.consumer();
    case BPF_RB_PROD_POS:
      return ring.producer();
    default:
      return 0;
  }
}

}  // namespace uarena::jit::helpers
