// gdb's interface for code that is made at run time: a list of symbol files in memory, which gdb
// finds under names that it knows, when it attaches or whenever the list changes. So breakpoints,
// backtraces and source lines work in BPF programs as in any function.
#pragma once

#include <memory>
#include <string>

namespace uarena::jit::debug {

// A symbol file in gdb's list, until it is destroyed. Any thread.
class GdbEntry {
 public:
  explicit GdbEntry(std::string symbol_file);
  ~GdbEntry();
  GdbEntry(const GdbEntry&) = delete;
  GdbEntry& operator=(const GdbEntry&) = delete;

 private:
  struct Listed;
  std::unique_ptr<Listed> listed_;
};

}  // namespace uarena::jit::debug
