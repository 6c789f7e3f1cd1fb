// What a running command has at hand: its words, its output, and the broker when it asks for it.
#pragma once

#include <memory>
#include <string>

#include "ipc/client/inspect.h"
#include "tools/uarena/parser.h"
#include "tools/uarena/render.h"

namespace uarena::cli {

class Context {
 public:
  Context(const Invocation& call, Output& output) : call_(call), output_(output) {}

  const Invocation& call() const { return call_; }
  Output& output() { return output_; }

  // Connects at the first call, so that a mistake in the arguments is told without a broker.
  Result<ipc::Inspector*> broker();
  // `name` is checked first.
  Result<uarena_arena_info> arena_named(const std::string& name);

 private:
  const Invocation& call_;
  Output& output_;
  std::unique_ptr<ipc::Inspector> broker_;
};

// The whole command: parse, run, report. `words` without the program's name. Returns the exit
// status. The streams are borrowed and flushed.
ExitCode run_uarena(const std::vector<std::string>& words, std::FILE* out, std::FILE* err);

}  // namespace uarena::cli
