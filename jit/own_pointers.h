// Pointers that a program hands to functions which print or follow them. A function gets numbers,
// and a number that happens to be an address of the broker's memory must not be followed, or a
// program could find out by guessing where that memory is. So it is the verifier who says, for each
// call, which arguments are pointers of the program's own, and how many bytes from each on are
// memory that the program may read: the rest of a map value, what lies on its stack before the next
// pointer. These are followed so far and never printed as they are; any other number is an address
// of the arena, or of nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace uarena::jit {

// MAX_BPRINTF_VARARGS: 64-bit values that a function takes behind one pointer.
inline constexpr size_t kMaxFormatArguments = 12;

// Of one call instruction, the same on all paths.
struct OwnPointers {
  // R1..R5, then the values of a data argument.
  static constexpr size_t kValues = 5 + kMaxFormatArguments;
  // The context is as long as the caller of the run has made it.
  static constexpr uint32_t kToContextEnd = ~uint32_t{0};

  uint32_t own = 0;                          // bit per value: a pointer of the program's own
  std::array<uint32_t, kValues> bytes = {};  // that may be read from it on

  static constexpr size_t argument(unsigned n) { return n - 1; }  // of Rn
  static constexpr size_t word(size_t n) { return 5 + n; }
  bool is_own(size_t value) const { return (own >> value & 1) != 0; }
};

// A value as a function gets it.
struct Handed {
  uint64_t value = 0;
  std::optional<uint64_t> own;  // a pointer of the program's: bytes that may be read there
};

}  // namespace uarena::jit
