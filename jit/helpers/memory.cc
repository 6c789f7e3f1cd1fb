// Reading memory through a pointer that a program hands over, and comparing strings. A pointer of
// the program's own is read as far as the verifier knows it to be the program's memory; any other
// number is an address of the arena. Everything else is -EFAULT without being touched.
#include <algorithm>
#include <cstring>

#include "jit/fault_safe.h"
#include "jit/helpers/functions.h"
#include "jit/helpers/program_memory.h"

namespace uarena::jit {
namespace {

uint64_t context_bytes_behind(const RunContext* run, uint64_t address) {
  const uint64_t offset = address - reinterpret_cast<uint64_t>(run->ctx.data());
  return offset < run->ctx.size() ? run->ctx.size() - offset : 0;
}

Handed handed(const RunContext* run, size_t place, uint64_t value) {
  if (run->own_pointers == nullptr || !run->own_pointers->is_own(place)) return {value, {}};
  const uint32_t bytes = run->own_pointers->bytes[place];
  if (value == 0) return {value, 0};
  if (bytes == OwnPointers::kToContextEnd) return {value, context_bytes_behind(run, value)};
  return {value, bytes};
}

}  // namespace

bool is_arena_address(const ArenaView* arena, uint64_t address) {
  if (arena == nullptr || arena->size == 0) return false;
  const uint64_t upper = address >> 32;
  return upper == 0 || upper == arena->user_vm_start >> 32;
}

Handed handed_argument(const RunContext* run, unsigned n, uint64_t value) {
  return handed(run, OwnPointers::argument(n), value);
}

Handed handed_word(const RunContext* run, size_t n, uint64_t value) {
  return handed(run, OwnPointers::word(n), value);
}

size_t read_program_memory(const RunContext* run, void* to, const Handed& from, size_t size) {
  if (!from.own) {
    if (!is_arena_address(run->arena, from.value)) return 0;
    return copy_from_arena(to, *run->arena, from.value, size);
  }
  const size_t readable = std::min<uint64_t>(size, *from.own);
  if (readable != 0) std::memcpy(to, reinterpret_cast<const void*>(from.value), readable);
  return readable;
}

int64_t read_program_string(const RunContext* run, char* to, const Handed& from, size_t size) {
  if (size == 0) return 0;
  size_t done = 0;
  while (done < size) {
    // In steps, since the string may end long before the room does.
    constexpr size_t kStep = 256;
    const size_t wanted = std::min(kStep, size - done);
    Handed rest{from.value + done, from.own};
    if (rest.own) *rest.own -= done;
    const size_t got = read_program_memory(run, to + done, rest, wanted);
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
  if (read_program_memory(run, to, handed_argument(run, 3, src), size) == size) return 0;
  std::memset(to, 0, size);
  return result(-EFAULT);
}

// long bpf_probe_read_kernel_str(void *dst, u32 size, const void *src): its length with the NUL.
uint64_t probe_read_kernel_str(uint64_t dst, uint64_t size, uint64_t src, uint64_t, uint64_t,
                               RunContext* run) {
  return result(read_program_string(run, pointer<char>(dst), handed_argument(run, 3, src), size));
}

// long bpf_strncmp(const char *s1, u32 s1_sz, const char *s2)
uint64_t strncmp(uint64_t s1, uint64_t size, uint64_t s2, uint64_t, uint64_t, RunContext*) {
  return result(::strncmp(pointer<const char>(s1), pointer<const char>(s2), size));
}

}  // namespace helpers
}  // namespace uarena::jit
