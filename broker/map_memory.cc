#include "broker/map_memory.h"

#include <sys/mman.h>
#include <sys/sysinfo.h>

#include <cstring>

#include "broker/memory_file.h"
#include "ipc/base/page.h"
#include "jit/maps/map.h"
#include "jit/maps/ring_buffer.h"

namespace uarena::broker {

uint64_t map_file_bytes(const jit::MapDef& def) {
  const uint64_t bytes = def.kind == jit::MapKind::ringbuf ? jit::RingBuffer::file_bytes(def)
                                                           : jit::map_bytes(def, cpu_count());
  return round_up_to_page(bytes == 0 ? 1 : bytes);
}

unsigned cpu_count() { return static_cast<unsigned>(::get_nprocs_conf()); }

Result<MapMemory> MapMemory::create(const jit::MapDef& def) {
  UARENA_ASSERT(def.initial.size() <= def.value_size, "map {}: {} initial bytes, value_size {}",
                def.name, def.initial.size(), def.value_size);
  if (map_file_bytes(def) > kMaxMapBytes)
    return fail(E2BIG, "map {} needs {} bytes, allowed are {}", def.name, map_file_bytes(def),
                kMaxMapBytes);
  MapMemory memory;
  auto file = create_sealed_memfd("uarena" + def.name, map_file_bytes(def));
  if (!file) return std::unexpected(file.error());
  memory.file_ = std::move(*file);
  if (auto mapped = memory.map(def, map_file_bytes(def)); !mapped)
    return std::unexpected(mapped.error());
  if (!def.initial.empty()) std::memcpy(memory.data(), def.initial.data(), def.initial.size());
  if (jit::is_read_only(def.kind) && ::mprotect(memory.data(), memory.map_.size(), PROT_READ) != 0)
    return fail_errno(errno, "cannot make {} read-only", def.name);
  return memory;
}

Result<MapMemory> MapMemory::open_untrusted(const jit::MapDef& def, Fd fd) {
  if (auto good =
          check_sealed_memfd_untrusted(fd.get(), map_file_bytes(def), "the memory of a map");
      !good)
    return std::unexpected(good.error());
  MapMemory memory;
  memory.file_ = std::move(fd);
  memory.left_by_another_ = true;
  if (auto mapped = memory.map(def, map_file_bytes(def)); !mapped)
    return std::unexpected(mapped.error());
  return memory;
}

Result<void> MapMemory::map(const jit::MapDef& def, uint64_t size) {
  const bool ring = def.kind == jit::MapKind::ringbuf;
  auto map =
      MemoryMap::create(nullptr, ring ? jit::RingBuffer::mapped_bytes(def) : size,
                        PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0, def.name.c_str());
  if (!map) return std::unexpected(map.error());
  map_ = std::move(*map);
  if (!ring) return {};
  const uint64_t data = size - def.max_entries;
  if (::mmap(map_.data() + size, def.max_entries, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
             file_.get(), static_cast<off_t>(data)) == MAP_FAILED)
    return fail_errno(errno, "cannot map the data of {} twice", def.name);
  return {};
}

}  // namespace uarena::broker
