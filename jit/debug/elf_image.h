// An ELF object in memory that describes compiled code where it is: what a debugger takes for the
// symbol file of it. It holds no code itself.
#pragma once

#include <string>

#include "jit/debug/code_map.h"

namespace uarena::jit::debug {

std::string elf_image(const CodeMap& map);

}  // namespace uarena::jit::debug
