// The engine turns a fixed program into something that runs: compiled to x86-64 by default, or
// interpreted. It owns the executable memory and the exception table that go with the code.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "ipc/base/result.h"
#include "jit/program.h"

namespace uarena::jit {

using CallbackArgs = std::array<uint64_t, 5>;  // R1..R5

// A program that can run. Threads: all functions may be called by many at once.
class Executable {
 public:
  virtual ~Executable() = default;
  // Runs once. R1 = ctx.data(); ctx must have at least FixedProgram::ctx_size() bytes. Returns R0.
  // When it returns with context.ended, everything that the run held has been released.
  uint64_t run(std::span<std::byte> ctx, RunContext& context) const;
  // Within a run: calls the subprogram that a program named `callback` (ld_imm64 of a function).
  // When it returns with context.ended, the result means nothing and the caller returns, too.
  virtual uint64_t call_back(uint64_t callback, const CallbackArgs& args,
                             RunContext& context) const = 0;
  // A run of its own that consists of that.
  uint64_t run_callback(uint64_t callback, const CallbackArgs& args, RunContext& context) const;

  // All maps of the object.
  const std::vector<const BoundMap*>& maps() const { return program_.maps(); }
  virtual size_t code_bytes() const = 0;       // 0: interpreted
  virtual std::string dump_jited() const = 0;  // disassembly, with source lines; "" if interpreted
  std::string dump_xlated() const;             // fixed-up instructions, with source lines
  // "insn 12 (list.bpf.c:40: while (n))"; without the source where there is none.
  std::string place_of(uint32_t insn) const;
  // The instruction of a place that this executor has noted (fault_reports.h).
  virtual uint32_t insn_at(uint32_t place) const = 0;
  // Whether that instruction reads and no more.
  bool reads_at(uint32_t insn) const;

 protected:
  explicit Executable(FixedProgram program) : program_(std::move(program)) {}
  const FixedProgram& program() const { return program_; }

 private:
  virtual uint64_t enter(void* ctx, RunContext& context) const = 0;
  FixedProgram program_;
};

enum class Mode { compile, interpret };

// Installs the SIGBUS/SIGSEGV handler of the exception table once for the process (K49-K51): a
// fault at an address that no table knows gets the previous disposition. Call before any run.
Result<void> install_fault_handler();

// Whether the constants of a program may stand in its code as its author chose them.
enum class Constants { plain, blinded };

Result<std::unique_ptr<Executable>> make_executable(FixedProgram program, Mode mode,
                                                    Constants constants = Constants::plain);

}  // namespace uarena::jit
