// The engine turns a fixed program into something that runs: compiled to x86-64 by default, or
// interpreted. It owns the executable memory and the exception table that go with the code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "ipc/base/result.h"
#include "jit/program.h"

namespace uarena::jit {

// A program that can run. Threads: run() may be called by many at once.
class Executable {
 public:
  virtual ~Executable() = default;
  // Runs once. R1 = ctx.data(); ctx must have at least FixedProgram::ctx_size() bytes. Returns R0.
  virtual uint64_t run(std::span<std::byte> ctx, RunContext& context) const = 0;
  virtual size_t code_bytes() const = 0;        // 0: interpreted
  virtual std::string dump_xlated() const = 0;  // fixed-up instructions, with source lines
  virtual std::string dump_jited() const = 0;   // disassembly, with source lines; "" if interpreted
};

enum class Mode { compile, interpret };

// Installs the SIGBUS/SIGSEGV handler of the exception table once for the process (K49-K51): a
// fault at an address that no table knows gets the previous disposition. Call before any run.
Result<void> install_fault_handler();

Result<std::unique_ptr<Executable>> make_executable(FixedProgram program, Mode mode);

}  // namespace uarena::jit
