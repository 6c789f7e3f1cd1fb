// The bytes of a program's global variables (.data, .bss, .rodata). They live in a memory file, as
// arenas do, so that a successor of this broker can take them over; the program reaches them
// through a mapping that is read-only for .rodata once it is filled.
#pragma once

#include <string>

#include "ipc/base/fd.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/result.h"
#include "jit/object.h"

namespace uarena::broker {

class MapMemory {
 public:
  // `def` is one of the internal maps; its `initial` bytes are copied in.
  static Result<MapMemory> create(const jit::MapDef& def);

  // A predecessor's bytes of the same map, as they are. EINVAL: the file is not of that kind and
  // size.
  static Result<MapMemory> open_untrusted(const jit::MapDef& def, Fd fd);

  std::byte* data() const { return map_.data(); }
  int fd() const { return file_.get(); }

 private:
  Result<void> map(const jit::MapDef& def, uint64_t size);

  Fd file_;
  MemoryMap map_;
};

}  // namespace uarena::broker
