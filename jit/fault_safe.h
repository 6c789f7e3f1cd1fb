// The one way to touch arena bytes outside compiled code. A client may take any page away at any
// moment, so a plain load in a kfunc or in the interpreter could raise SIGBUS; these routines have
// exception entries of their own (install_fault_handler() must have been called) and say what
// happened. Callers copy first and check the copy. A test forbids raw access to the view.
#pragma once

#include <cstddef>
#include <cstdint>

#include "jit/runtime.h"

namespace uarena::jit {

// `ptr` is a program's arena pointer: only its low 32 bits count; off is added unwrapped (K48).
// They return the number of bytes that were moved before the first absent page: `size` on success.
size_t copy_from_arena(void* to, const ArenaView& arena, uint64_t ptr, size_t size);
size_t copy_to_arena(const ArenaView& arena, uint64_t ptr, const void* from, size_t size);

// Loads and stores of 1, 2, 4 or 8 bytes as one access. False: absent; *value is then 0 (K49), or
// nothing was stored (K50).
bool load_arena(const ArenaView& arena, uint64_t ptr, int32_t off, unsigned bytes, uint64_t* value);
bool store_arena(const ArenaView& arena, uint64_t ptr, int32_t off, unsigned bytes, uint64_t value);

// Atomics of 4 or 8 bytes (acquire loads and release stores 1, 2, 4, 8), `operation` as in isa.h.
// *operand: the value to combine, then the fetched old value where the operation fetches;
// *expected: cmpxchg's comparand (R0), then the old value. Absent: fetched values are 0 (K51),
// false.
bool atomic_arena(const ArenaView& arena, uint64_t ptr, int32_t off, unsigned bytes,
                  int32_t operation, uint64_t* operand, uint64_t* expected);

}  // namespace uarena::jit
