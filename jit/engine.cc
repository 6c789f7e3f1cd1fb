// Puts the executing half together: compile, place, register the arena accesses, run. Programs run
// on the thread that calls run() and on its stack; that thread must not block SIGSEGV or SIGBUS,
// because a fault that finds its signal blocked kills the process.
#include "jit/engine.h"

#include <utility>
#include <vector>

#include "jit/dump.h"
#include "jit/exception_table.h"
#include "jit/exec_memory.h"
#include "jit/interpreter.h"
#include "jit/x86_64/compiler.h"
#include "jit/x86_64/listing.h"

namespace uarena::jit {
namespace {

class CompiledProgram final : public Executable {
 public:
  CompiledProgram(FixedProgram program, ExecBlock block, std::vector<ExceptionEntry> entries,
                  std::vector<uint32_t> insn_offsets)
      : program_(std::move(program)),
        insn_offsets_(std::move(insn_offsets)),
        block_(std::move(block)),
        region_(block_.code(), block_.size(), program_.arena(), std::move(entries)) {}

  uint64_t run(std::span<std::byte> ctx, RunContext& context) const override {
    UARENA_ASSERT(ctx.size() >= program_.ctx_size(), "program {}: context of {} bytes, needs {}",
                  program_.name(), ctx.size(), program_.ctx_size());
    using Entry = uint64_t (*)(void* ctx, RunContext* run);
    const auto entry = reinterpret_cast<Entry>(reinterpret_cast<uintptr_t>(block_.code()));
    return entry(ctx.data(), &context);
  }
  size_t code_bytes() const override { return block_.size(); }
  std::string dump_xlated() const override { return jit::dump_xlated(program_); }
  std::string dump_jited() const override {
    return x86_64::list_code(program_, {block_.code(), block_.size()}, insn_offsets_);
  }

 private:
  FixedProgram program_;
  std::vector<uint32_t> insn_offsets_;
  // In this order: the region is unregistered before the code is freed.
  ExecBlock block_;
  ExceptionRegion region_;
};

Result<std::unique_ptr<Executable>> make_compiled(FixedProgram program) {
  auto compiled = x86_64::compile(program);
  if (!compiled) return std::unexpected(compiled.error());
  const auto memory = ExecMemory::instance();
  if (!memory) return std::unexpected(memory.error());
  auto block = (*memory)->add(compiled->code);
  if (!block) return std::unexpected(block.error());
  return std::make_unique<CompiledProgram>(std::move(program), std::move(*block),
                                           std::move(compiled->entries),
                                           std::move(compiled->insn_offsets));
}

}  // namespace

Result<std::unique_ptr<Executable>> make_executable(FixedProgram program, Mode mode) {
  if (auto installed = install_fault_handler(); !installed) {
    return std::unexpected(installed.error());
  }
  if (mode == Mode::interpret) return make_interpreter(std::move(program));
  return make_compiled(std::move(program));
}

}  // namespace uarena::jit
