// A ring buffer in the kernel's layout: a page with the consumer's position, a page with the
// producers', then the data, mapped twice in a row so that no record is split. A record is a header
// of eight bytes (length, with bits "busy" and "discarded") and its data, in steps of eight bytes.
// Producers reserve under a lock and commit by taking the busy bit away; a consumer stops at a busy
// record. The consumer's position is whoever's who maps the memory, so it is not trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include "jit/object.h"

namespace uarena::jit {

class RingBuffer {
 public:
  // Bytes of the memory file: both pages and the data once; def.max_entries is a power of two of
  // whole pages. The file is mapped like that, and the data once more behind it.
  static uint64_t file_bytes(const MapDef& def);
  static uint64_t mapped_bytes(const MapDef& def);

  // What a predecessor's runs had reserved and not committed is discarded.
  RingBuffer(const MapDef& def, std::byte* memory);

  // Null: too long, or no room.
  std::byte* reserve(uint64_t size);
  void commit(std::byte* record, bool discard);

  uint64_t data_bytes() const { return bytes_; }
  uint64_t consumer() const;
  uint64_t producer() const;

  // Where the data of all records lie.
  std::span<std::byte> data() const { return {data_, 2 * bytes_}; }

 private:
  struct Header {
    uint32_t length;
    uint32_t page_offset;  // of the header, from the start of the map, in pages: the kernel's
  };
  Header& header_at(uint64_t position) const {
    return *reinterpret_cast<Header*>(data_ + (position & (bytes_ - 1)));
  }
  void discard_left_over();

  std::byte* const memory_;
  std::byte* const data_;
  const uint64_t bytes_;
  std::mutex lock_;
};

}  // namespace uarena::jit
