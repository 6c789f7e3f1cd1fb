#include "broker/map_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "ipc/base/page.h"
#include "ipc/base/uapi.h"

namespace uarena::broker {

Result<MapMemory> MapMemory::create(const jit::MapDef& def) {
  UARENA_ASSERT(def.initial.size() <= def.value_size, "map {}: {} initial bytes, value_size {}",
                def.name, def.initial.size(), def.value_size);
  const uint64_t size = round_up_to_page(def.value_size == 0 ? 1 : def.value_size);
  MapMemory memory;
  memory.file_.reset(::memfd_create(("uarena" + def.name).c_str(),
                                    MFD_CLOEXEC | MFD_ALLOW_SEALING | kMfdNoexecSeal));
  if (!memory.file_) return fail_errno(errno, "cannot make a memory file for {}", def.name);
  if (::ftruncate(memory.file_.get(), static_cast<off_t>(size)) != 0)
    return fail_errno(errno, "cannot give the memory file of {} its {} bytes", def.name, size);
  if (::fcntl(memory.file_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return fail_errno(errno, "cannot seal the memory file of {}", def.name);
  auto map = MemoryMap::create(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED,
                               memory.file_.get(), 0, def.name.c_str());
  if (!map) return std::unexpected(map.error());
  memory.map_ = std::move(*map);
  if (!def.initial.empty()) std::memcpy(memory.data(), def.initial.data(), def.initial.size());
  if (def.kind == jit::MapKind::rodata && ::mprotect(memory.data(), size, PROT_READ) != 0)
    return fail_errno(errno, "cannot make {} read-only", def.name);
  return memory;
}

}  // namespace uarena::broker
