// Arena accesses in inline assembly, each with an exception entry. The same shape everywhere: RCX
// starts as "it went well" and the handler clears it when the page is absent; RDX tells the handler
// which arena this is. For the copies RCX is what `rep movsb` has left to do, which is exactly the
// answer that the caller wants.
//
// Templates here must stay in the unnamed namespace: a COMDAT function that the linker drops would
// leave its entries behind.
#include "jit/fault_safe.h"

#include <algorithm>
#include <limits>

#include "ipc/base/page.h"
#include "ipc/base/result.h"
#include "jit/fault_safe_entry.h"
#include "jit/isa.h"

namespace uarena::jit {
namespace {

// K48: the low 32 bits of the pointer, then the offset without wrapping.
uint64_t address_of(const ArenaView& arena, uint64_t ptr, int32_t off) {
  UARENA_ASSERT(
      off >= std::numeric_limits<int16_t>::min() && off <= std::numeric_limits<int16_t>::max(),
      "arena access at offset {}, instructions have 16 bits", off);
  return arena.kern_vm_start + static_cast<uint32_t>(ptr) +
         static_cast<uint64_t>(static_cast<int64_t>(off));
}

// How much of a copy lies inside the 4 GiB; what is behind them is guard and then not ours.
size_t bytes_within(uint64_t ptr, size_t size) {
  return std::min<uint64_t>(size, kMaxArenaSize - static_cast<uint32_t>(ptr));
}

// Returns how many bytes were not moved.
size_t copy(void* to, const void* from, size_t size, uint64_t kern_vm_start) {
  asm volatile("1: rep movsb\n2:\n" UARENA_FAULT_ENTRY(0xff)
               : "+D"(to), "+S"(from), "+c"(size)
               : "d"(kern_vm_start)
               : "memory");
  return size;
}

template <typename T>
struct Access {
  uint64_t address;
  uint64_t kern_vm_start;

  bool load(uint64_t* value) const {
    uint64_t ok = 1;
    T loaded;
    asm volatile("1: mov (%[address]), %[loaded]\n2:\n" UARENA_FAULT_ENTRY(1)
                 : [loaded] "=&q"(loaded), "+c"(ok)
                 : [address] "r"(address), "d"(kern_vm_start)
                 : "memory");
    *value = ok != 0 ? loaded : 0;
    return ok != 0;
  }

  bool store(uint64_t value) const {
    uint64_t ok = 1;
    asm volatile("1: mov %[value], (%[address])\n2:\n" UARENA_FAULT_ENTRY(1)
                 : "+c"(ok)
                 : [address] "r"(address), [value] "q"(static_cast<T>(value)), "d"(kern_vm_start)
                 : "memory");
    return ok != 0;
  }

  bool add(uint64_t value) const {
    uint64_t ok = 1;
    asm volatile("1: lock add %[value], (%[address])\n2:\n" UARENA_FAULT_ENTRY(1)
                 : "+c"(ok)
                 : [address] "r"(address), [value] "q"(static_cast<T>(value)), "d"(kern_vm_start)
                 : "memory", "cc");
    return ok != 0;
  }

  bool fetch_add(uint64_t* operand) const {
    uint64_t ok = 1;
    T value = static_cast<T>(*operand);
    asm volatile("1: lock xadd %[value], (%[address])\n2:\n" UARENA_FAULT_ENTRY(1)
                 : [value] "+q"(value), "+c"(ok)
                 : [address] "r"(address), "d"(kern_vm_start)
                 : "memory", "cc");
    *operand = ok != 0 ? value : 0;
    return ok != 0;
  }

  bool exchange(uint64_t* operand) const {
    uint64_t ok = 1;
    T value = static_cast<T>(*operand);
    asm volatile("1: xchg %[value], (%[address])\n2:\n" UARENA_FAULT_ENTRY(1)
                 : [value] "+q"(value), "+c"(ok)
                 : [address] "r"(address), "d"(kern_vm_start)
                 : "memory");
    *operand = ok != 0 ? value : 0;
    return ok != 0;
  }

  // *expected becomes the old value.
  bool compare_exchange(uint64_t desired, uint64_t* expected) const {
    uint64_t ok = 1;
    T old = static_cast<T>(*expected);
    asm volatile("1: lock cmpxchg %[desired], (%[address])\n2:\n" UARENA_FAULT_ENTRY(1)
                 : "+a"(old), "+c"(ok)
                 : [address] "r"(address), [desired] "q"(static_cast<T>(desired)),
                   "d"(kern_vm_start)
                 : "memory", "cc");
    *expected = ok != 0 ? old : 0;
    return ok != 0;
  }

  // AND, OR and XOR have no fetching instruction on x86.
  template <typename Combine>
  bool fetch_combine(uint64_t* old, Combine combine) const {
    if (!load(old)) return false;
    while (true) {
      uint64_t seen = *old;
      if (!compare_exchange(combine(*old), &seen)) {
        *old = 0;
        return false;
      }
      if (seen == *old) return true;
      *old = seen;
    }
  }
};

// Calls `use` with the Access of the right width.
template <typename Use>
bool with_access(uint64_t address, uint64_t kern_vm_start, unsigned bytes, Use use) {
  switch (bytes) {
    case 1:
      return use(Access<uint8_t>{address, kern_vm_start});
    case 2:
      return use(Access<uint16_t>{address, kern_vm_start});
    case 4:
      return use(Access<uint32_t>{address, kern_vm_start});
    case 8:
      return use(Access<uint64_t>{address, kern_vm_start});
    default:
      UARENA_ASSERT(false, "arena access of {} bytes", bytes);
      return false;
  }
}

template <typename T>
bool combine(const Access<T>& access, int32_t operation, uint64_t* operand) {
  const uint64_t value = *operand;
  uint64_t old = 0;
  bool ok = false;
  switch (operation & ~kFetch) {
    case kOr:
      ok = access.fetch_combine(&old, [value](uint64_t v) { return v | value; });
      break;
    case kAnd:
      ok = access.fetch_combine(&old, [value](uint64_t v) { return v & value; });
      break;
    case kXor:
      ok = access.fetch_combine(&old, [value](uint64_t v) { return v ^ value; });
      break;
    default:
      UARENA_ASSERT(false, "atomic operation {:#x} does not exist", operation);
  }
  if ((operation & kFetch) != 0) *operand = old;
  return ok;
}

}  // namespace

size_t copy_from_arena(void* to, const ArenaView& arena, uint64_t ptr, size_t size) {
  const size_t within = bytes_within(ptr, size);
  const auto* from = reinterpret_cast<const void*>(address_of(arena, ptr, 0));
  return within - copy(to, from, within, arena.kern_vm_start);
}

size_t copy_to_arena(const ArenaView& arena, uint64_t ptr, const void* from, size_t size) {
  const size_t within = bytes_within(ptr, size);
  auto* to = reinterpret_cast<void*>(address_of(arena, ptr, 0));
  return within - copy(to, from, within, arena.kern_vm_start);
}

bool load_arena(const ArenaView& arena, uint64_t ptr, int32_t off, unsigned bytes,
                uint64_t* value) {
  return with_access(address_of(arena, ptr, off), arena.kern_vm_start, bytes,
                     [&](auto access) { return access.load(value); });
}

bool store_arena(const ArenaView& arena, uint64_t ptr, int32_t off, unsigned bytes,
                 uint64_t value) {
  return with_access(address_of(arena, ptr, off), arena.kern_vm_start, bytes,
                     [&](auto access) { return access.store(value); });
}

bool atomic_arena(const ArenaView& arena, uint64_t ptr, int32_t off, unsigned bytes,
                  int32_t operation, uint64_t* operand, uint64_t* expected) {
  return with_access(address_of(arena, ptr, off), arena.kern_vm_start, bytes, [&](auto access) {
    switch (operation) {
      // x86 orders loads with later accesses and stores with earlier ones: plain moves will do.
      case kLoadAcq:
        return access.load(operand);
      case kStoreRel:
        return access.store(*operand);
      case kAdd:
        return access.add(*operand);
      case kAdd | kFetch:
        return access.fetch_add(operand);
      case kXchg:
        return access.exchange(operand);
      case kCmpxchg:
        return access.compare_exchange(*operand, expected);
      default:
        return combine(access, operation, operand);
    }
  });
}

}  // namespace uarena::jit
