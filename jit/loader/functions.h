// Which functions the object has. A function is a symbol with a size in an executable section; a
// global one in a section other than .text is a program that can be run, all others can only be
// called.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "ipc/base/result.h"
#include "jit/loader/elf_file.h"

namespace uarena::jit {

inline constexpr uint64_t kInsnBytes = 8;

struct Function {
  std::string_view name;
  uint32_t section = 0;  // index into ElfFile::sections
  uint32_t start = 0;    // first instruction, counted from the section's start
  uint32_t count = 0;    // instructions, at least 1
  bool global = false;   // visible outside of the object: verified on its own in the kernel (K75)
  bool program = false;
};

class FunctionTable {
 public:
  // EINVAL: a function that is empty or not made of whole instructions; executable bytes that are.
  static Result<FunctionTable> read(const ElfFile& elf);

  const std::vector<Function>& all() const { return functions_; }
  // Index of the function that starts exactly there.
  std::optional<size_t> at(uint32_t section, uint64_t start) const;

 private:
  std::vector<Function> functions_;  // ascending (section, start), no two alike
};

}  // namespace uarena::jit
