// The bytes of a map beside the arena: a program's global variables (.data, .bss, .rodata), the
// elements of arrays and hashes, ring buffers. They live in a memory file, as arenas do, so that a
// successor of this broker can take them over; the program reaches them through a mapping that is
// read-only for .rodata once it is filled.
#pragma once

#include <string>

#include "ipc/base/fd.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/result.h"
#include "jit/object.h"

namespace uarena::broker {

// Of one map: what is made of it in the broker's own memory comes to about half as much again.
inline constexpr uint64_t kMaxMapBytes = uint64_t{1} << 30;

// What the file of a map takes, in whole pages; it is charged before it is made.
uint64_t map_file_bytes(const jit::MapDef& def);

// How many CPUs a per-CPU map has values for.
unsigned cpu_count();

class MapMemory {
 public:
  // `def` is no arena; its `initial` bytes are copied in. E2BIG: more than kMaxMapBytes.
  static Result<MapMemory> create(const jit::MapDef& def);

  // A predecessor's bytes of the same map, as they are. EINVAL: the file is not of that kind and
  // size.
  static Result<MapMemory> open_untrusted(const jit::MapDef& def, Fd fd);

  std::byte* data() const { return map_.data(); }
  size_t size() const { return map_.size(); }
  int fd() const { return file_.get(); }
  // Whether a predecessor's programs have worked on it.
  bool left_by_another() const { return left_by_another_; }

 private:
  Result<void> map(const jit::MapDef& def, uint64_t size);

  Fd file_;
  MemoryMap map_;
  bool left_by_another_ = false;
};

}  // namespace uarena::broker
