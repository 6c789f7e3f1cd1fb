// Memory that belongs to the program of a run, read through a pointer of which nobody knows where
// it points to (memory.cc says what belongs to it).
#pragma once

#include <cstddef>
#include <cstdint>

#include "jit/runtime.h"

namespace uarena::jit {

// A user's address of the arena, or what a cast to the kernel's side has made of one.
bool is_arena_address(const ArenaView* arena, uint64_t address);

// How many bytes could be read.
size_t read_program_memory(const RunContext* run, void* to, uint64_t address, size_t size);

// At most size - 1 bytes and the NUL; the length with it. -EFAULT: `to` is all zeros.
int64_t read_program_string(const RunContext* run, char* to, uint64_t address, size_t size);

}  // namespace uarena::jit
