// Compiled code in DWARF 4: which source line and function an address belongs to, and how to find
// the caller's frame. Only what that takes; types and variables are not described.
#pragma once

#include <string>

#include "jit/debug/code_map.h"

namespace uarena::jit::debug {

struct Dwarf {
  std::string abbrev;  // .debug_abbrev, and so on
  std::string info;
  std::string line;
  std::string frame;
};

Dwarf describe(const CodeMap& map);

}  // namespace uarena::jit::debug
