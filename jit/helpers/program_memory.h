// Memory that belongs to the program of a run, read through a pointer that it handed to a function
// (own_pointers.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "jit/own_pointers.h"
#include "jit/runtime.h"

namespace uarena::jit {

// A user's address of the arena, or what a cast to the kernel's side has made of one.
bool is_arena_address(const ArenaView* arena, uint64_t address);

// What the call at hand has in Rn, and as n-th value of its data argument.
Handed handed_argument(const RunContext* run, unsigned n, uint64_t value);
Handed handed_word(const RunContext* run, size_t n, uint64_t value);

// How many bytes could be read.
size_t read_program_memory(const RunContext* run, void* to, const Handed& from, size_t size);

// At most size - 1 bytes and the NUL; the length with it. -EFAULT: `to` is all zeros.
int64_t read_program_string(const RunContext* run, char* to, const Handed& from, size_t size);

}  // namespace uarena::jit
