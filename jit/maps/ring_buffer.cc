#include "jit/maps/ring_buffer.h"

#include <linux/bpf.h>

#include <atomic>

#include "ipc/base/page.h"

namespace uarena::jit {
namespace {

constexpr uint64_t kHeader = BPF_RINGBUF_HDR_SZ;
constexpr uint32_t kFlags = BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT;
constexpr uint64_t kLargest = UINT32_MAX / 4;  // RINGBUF_MAX_RECORD_SZ

constexpr uint64_t record_bytes(uint64_t size) { return (size + kHeader + 7) & ~uint64_t{7}; }

std::atomic_ref<uint64_t> position_at(std::byte* page) {
  return std::atomic_ref(*reinterpret_cast<uint64_t*>(page));
}

}  // namespace

uint64_t RingBuffer::file_bytes(const MapDef& def) { return 2 * kPageSize + def.max_entries; }
uint64_t RingBuffer::mapped_bytes(const MapDef& def) {
  return 2 * kPageSize + 2 * uint64_t{def.max_entries};
}

RingBuffer::RingBuffer(const MapDef& def, std::byte* memory)
    : memory_(memory), data_(memory + 2 * kPageSize), bytes_(def.max_entries) {
  discard_left_over();
}

uint64_t RingBuffer::consumer() const {
  return position_at(memory_).load(std::memory_order_acquire);
}
uint64_t RingBuffer::producer() const {
  return position_at(memory_ + kPageSize).load(std::memory_order_acquire);
}

void RingBuffer::discard_left_over() {
  uint64_t at = consumer();
  const uint64_t end = producer();
  while (at % 8 == 0 && end - at <= bytes_ && at != end) {
    Header& header = header_at(at);
    const uint32_t length = header.length & ~kFlags;
    if ((header.length & BPF_RINGBUF_BUSY_BIT) != 0)
      std::atomic_ref(header.length).store(length | BPF_RINGBUF_DISCARD_BIT);
    at += record_bytes(length);
  }
}

std::byte* RingBuffer::reserve(uint64_t size) {
  if (size > kLargest) return nullptr;
  const std::scoped_lock guard(lock_);
  const uint64_t from = producer();
  const uint64_t to = from + record_bytes(size);
  // A full ring would look like an empty one. Also where the consumer's position is nonsense.
  if (to - consumer() >= bytes_) return nullptr;
  Header& header = header_at(from);
  header.page_offset =
      static_cast<uint32_t>((reinterpret_cast<std::byte*>(&header) - memory_) >> kPageShift);
  std::atomic_ref(header.length)
      .store(static_cast<uint32_t>(size) | BPF_RINGBUF_BUSY_BIT, std::memory_order_relaxed);
  position_at(memory_ + kPageSize).store(to, std::memory_order_release);
  return reinterpret_cast<std::byte*>(&header) + kHeader;
}

void RingBuffer::commit(std::byte* record, bool discard) {
  auto& header = *reinterpret_cast<Header*>(record - kHeader);
  uint32_t length = header.length & ~BPF_RINGBUF_BUSY_BIT;
  if (discard) length |= BPF_RINGBUF_DISCARD_BIT;
  std::atomic_ref(header.length).exchange(length, std::memory_order_acq_rel);
}

}  // namespace uarena::jit
