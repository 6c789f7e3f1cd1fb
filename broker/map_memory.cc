#include "broker/map_memory.h"

#include <sys/mman.h>

#include <cstring>

#include "broker/memory_file.h"
#include "ipc/base/page.h"

namespace uarena::broker {

namespace {

uint64_t file_size(const jit::MapDef& def) {
  return round_up_to_page(def.value_size == 0 ? 1 : def.value_size);
}

}  // namespace

Result<MapMemory> MapMemory::create(const jit::MapDef& def) {
  UARENA_ASSERT(def.initial.size() <= def.value_size, "map {}: {} initial bytes, value_size {}",
                def.name, def.initial.size(), def.value_size);
  MapMemory memory;
  auto file = create_sealed_memfd("uarena" + def.name, file_size(def));
  if (!file) return std::unexpected(file.error());
  memory.file_ = std::move(*file);
  if (auto mapped = memory.map(def, file_size(def)); !mapped)
    return std::unexpected(mapped.error());
  if (!def.initial.empty()) std::memcpy(memory.data(), def.initial.data(), def.initial.size());
  if (jit::is_read_only(def.kind) &&
      ::mprotect(memory.data(), memory.map_.size(), PROT_READ) != 0)
    return fail_errno(errno, "cannot make {} read-only", def.name);
  return memory;
}

Result<MapMemory> MapMemory::open_untrusted(const jit::MapDef& def, Fd fd) {
  if (auto good = check_sealed_memfd_untrusted(fd.get(), file_size(def), "the memory of a map");
      !good)
    return std::unexpected(good.error());
  MapMemory memory;
  memory.file_ = std::move(fd);
  if (auto mapped = memory.map(def, file_size(def)); !mapped)
    return std::unexpected(mapped.error());
  return memory;
}

Result<void> MapMemory::map(const jit::MapDef& def, uint64_t size) {
  auto map = MemoryMap::create(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0,
                               def.name.c_str());
  if (!map) return std::unexpected(map.error());
  map_ = std::move(*map);
  return {};
}

}  // namespace uarena::broker
