// What of this process occupies an address range: for the sentence of an attach that finds its
// place taken.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace uarena::ipc {

struct Occupant {
  uint64_t start = 0;
  uint64_t end = 0;
  std::string name;  // path or [label] as in /proc/PID/maps, "anonymous memory" if it has none
};

// The first mapping of `maps` (the text of /proc/PID/maps) that overlaps [start, end).
std::optional<Occupant> find_occupant(std::string_view maps, uint64_t start, uint64_t end);
// The same for this process, now.
std::optional<Occupant> find_occupant(uint64_t start, uint64_t end);

}  // namespace uarena::ipc
