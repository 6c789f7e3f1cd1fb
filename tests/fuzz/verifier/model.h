// What the generator knows of the program that it writes, at the place where it writes: a light
// picture of each register and stack slot. It is there to choose instructions that make sense, so
// that most programs are accepted; nothing is checked against it, and where it errs a program is
// rejected or an accepted one is a little duller.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace uarena::fuzz {

enum class What : uint8_t { nothing, number, ctx, stack, value, packet, memory, arena };

struct Known {
  What what = What::nothing;
  int map = 0;  // of a value
  // A number, where it is known: within [min, max], read as signed. Pointers: the offset; of the
  // stack from the frame pointer, of everything else from its start.
  bool bounded = false;
  int64_t min = 0;
  int64_t max = 0;
  int64_t step = 1;  // the number is a multiple of it
  int64_t size = 0;  // pointers: bytes that are there; of the stack 0, its end
  bool read_only = false;
  bool strict = false;  // accesses must be aligned

  static Known number() { return {.what = What::number}; }
  static Known within(int64_t min, int64_t max, int64_t step = 1) {
    return {.what = What::number, .bounded = true, .min = min, .max = max, .step = step};
  }
  static Known pointer(What what, int64_t size) {
    return {.what = what, .bounded = true, .size = size};
  }
  bool is_number() const { return what == What::number; }
  // Loads and stores may go through it.
  bool is_memory() const {
    return what == What::stack || what == What::value || what == What::packet ||
           what == What::memory;
  }
  bool is_address() const { return is_memory() || what == What::ctx; }
  friend bool operator==(const Known&, const Known&) = default;
};

inline constexpr int kSlots = 12;  // of the stack that a function uses

struct Picture {
  std::array<Known, 10> regs{};
  // Slot n is at fp - 8 (n + 1). What was never written reads as a number.
  std::array<Known, kSlots> slots{};

  static Picture empty() {
    Picture picture;
    picture.slots.fill(Known::number());
    return picture;
  }
  void call() {
    for (int r = 0; r <= 5; ++r) regs[static_cast<size_t>(r)] = {};
  }
};

// What is known where two ways meet.
Known merge(const Known& a, const Known& b);
Picture merge(const Picture& a, const Picture& b);

}  // namespace uarena::fuzz
