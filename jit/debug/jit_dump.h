// perf's way to name code that is made at run time: a file into which each piece of code is written
// with its symbols and source lines. `perf record -k mono`, then `perf inject --jit`, which makes
// an object file of each, then `perf report` and `perf annotate` as with any program.
#pragma once

#include <mutex>
#include <string>

#include "ipc/base/fd.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/result.h"
#include "jit/debug/code_map.h"

namespace uarena::jit::debug {

class JitDump {
 public:
  // Code that is made from now on, in this process, is written to `directory`/jit-PID.dump. Once.
  static Result<void> start(const std::string& directory);
  // Null: nobody asked for it.
  static JitDump* active();

  // Each subprogram is a record of its own. What can't be written is missing there, and nothing
  // else: the file is for looking only. Any thread.
  void add(const CodeMap& map);

 private:
  JitDump(Fd file, MemoryMap marker) : file_(std::move(file)), marker_(std::move(marker)) {}
  void add_function(const CodeMap& map, const Function& function);

  std::mutex mutex_;
  Fd file_;
  MemoryMap marker_;  // an executable mapping of it is how perf comes to know of the file
  uint64_t index_ = 0;
};

}  // namespace uarena::jit::debug
