// Reading memory through a pointer that nobody has checked, and comparing strings. What a program
// may read is its own: the arena, the values of its maps, its context, and the stack of the frame
// that calls. Everything else is -EFAULT without being touched: it would be the broker's memory.
#include <algorithm>
#include <cstring>

#include "jit/engine.h"
#include "jit/fault_safe.h"
#include "jit/helpers/functions.h"
#include "jit/helpers/program_memory.h"

namespace uarena::jit {
namespace {

bool within(uint64_t address, uint64_t from, uint64_t bytes) { return address - from < bytes; }

// Bytes of plain memory of the program's from `address` on.
size_t plain_bytes(const RunContext* run, uint64_t address) {
  const auto left_of = [&](uint64_t from, uint64_t bytes) -> size_t {
    return within(address, from, bytes) ? from + bytes - address : 0;
  };
  if (size_t left = left_of(run->stack_top - run->stack_bytes, run->stack_bytes)) return left;
  if (size_t left = left_of(reinterpret_cast<uint64_t>(run->ctx.data()), run->ctx.size()))
    return left;
  if (run->program == nullptr) return 0;
  for (const BoundMap* map : run->program->maps()) {
    if (size_t left = left_of(reinterpret_cast<uint64_t>(map->value), map->value_bytes))
      return left;
  }
  return 0;
}

}  // namespace

bool is_arena_address(const ArenaView* arena, uint64_t address) {
  if (arena == nullptr || arena->size == 0) return false;
  const uint64_t upper = address >> 32;
  return upper == 0 || upper == arena->user_vm_start >> 32;
}

size_t read_program_memory(const RunContext* run, void* to, uint64_t address, size_t size) {
  if (is_arena_address(run->arena, address)) return copy_from_arena(to, *run->arena, address, size);
  const size_t readable = std::min(size, plain_bytes(run, address));
  std::memcpy(to, reinterpret_cast<const void*>(address), readable);
  return readable;
}

int64_t read_program_string(const RunContext* run, char* to, uint64_t address, size_t size) {
  if (size == 0) return 0;
  size_t done = 0;
  while (done < size) {
    // In steps, since the string may end long before the room does.
    constexpr size_t kStep = 256;
    const size_t wanted = std::min(kStep, size - done);
    const size_t got = read_program_memory(run, to + done, address + done, wanted);
    if (const void* end = std::memchr(to + done, 0, got); end != nullptr)
      return static_cast<const char*>(end) - to + 1;
    done += got;
    if (got < wanted) {
      std::memset(to, 0, size);
      return -EFAULT;
    }
  }
  to[size - 1] = '\0';
  return static_cast<int64_t>(size);
}

namespace helpers {

// long bpf_probe_read_kernel(void *dst, u32 size, const void *src)
uint64_t probe_read_kernel(uint64_t dst, uint64_t size, uint64_t src, uint64_t, uint64_t,
                           RunContext* run) {
  auto* to = pointer<std::byte>(dst);
  if (read_program_memory(run, to, src, size) == size) return 0;
  std::memset(to, 0, size);
  return result(-EFAULT);
}

// long bpf_probe_read_kernel_str(void *dst, u32 size, const void *src): its length with the NUL.
uint64_t probe_read_kernel_str(uint64_t dst, uint64_t size, uint64_t src, uint64_t, uint64_t,
                               RunContext* run) {
  return result(read_program_string(run, pointer<char>(dst), src, size));
}

// long bpf_strncmp(const char *s1, u32 s1_sz, const char *s2)
uint64_t strncmp(uint64_t s1, uint64_t size, uint64_t s2, uint64_t, uint64_t, RunContext*) {
  return result(::strncmp(pointer<const char>(s1), pointer<const char>(s2), size));
}

}  // namespace helpers
}  // namespace uarena::jit
