// What a client of an arena does, for the body of a Child: maps the memory file at the fixed
// address, hands its userfaultfd over, waits to be armed, touches pages, and tells which signal it
// got. And the test's side: the memory file.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "ipc/base/fd.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "tests/uffd/child.h"

namespace uarena::uffd::testing {

// Where these tests' arenas are; free in plain and in sanitized programs.
inline constexpr uint64_t kArena = 0x7e8000000000;
inline constexpr uint64_t kArenaPages = 256;
inline constexpr uint64_t kArenaBytes = kArenaPages * kPageSize;

inline constexpr uint64_t page_address(uint64_t index) { return kArena + index * kPageSize; }

// --- the test's side ---
Fd make_memory(uint64_t bytes = kArenaBytes);
MemoryMap map_shared(const Fd& memory, uint64_t bytes);  // in this process, wherever there is room
uint64_t pages_in(const Fd& memory);
void put_byte(const Fd& memory, uint64_t offset, uint8_t byte);  // allocates the page
uint8_t get_byte(const Fd& memory, uint64_t offset);

// --- the client's side: a failure ends the process with kBroken ---
enum class Mode { user_only, full };
void map_arena(const Fd& memory);
Fd raw_userfaultfd(Mode mode = Mode::user_only);
// map, hand over, wait for the go. Returns the client's own copy of the descriptor.
Fd attach(Line& line, const Fd& memory, Mode mode = Mode::user_only);

uint8_t load(uint64_t address);
void store(uint64_t address, uint8_t value);

// What a handler saw.
struct SegvReport {
  int signal = 0;
  int code = 0;
  uint64_t address = 0;
  int calls = 0;
};
// Touches `address` with handlers for SIGSEGV and SIGBUS that return `returns` times, and jump out
// after that. signal is 0 when the access went through.
SegvReport touch_caught(uint64_t address, bool write, int returns = 0);
// SIG_DFL for both, whatever a sanitizer installed.
void default_signals();
void ignore_segv();
void block_segv();

}  // namespace uarena::uffd::testing
