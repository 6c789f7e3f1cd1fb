// Puts the executing half together: compile, place, register the arena accesses, run. Programs run
// on the thread that calls run() and on its stack; that thread must not block SIGSEGV or SIGBUS,
// because a fault that finds its signal blocked kills the process.
#include "jit/engine.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "jit/debug/elf_image.h"
#include "jit/debug/gdb.h"
#include "jit/debug/jit_dump.h"
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
  CompiledProgram(FixedProgram program, ExecBlock block, x86_64::CompiledCode compiled,
                  std::string symbols)
      : Executable(std::move(program)),
        insn_offsets_(std::move(compiled.insn_offsets)),
        callback_offsets_(std::move(compiled.callback_offsets)),
        block_(std::move(block)),
        region_(block_.code(), block_.size(), this->program().arena(), std::move(compiled.entries),
                insn_offsets_.front()),
        in_gdb_(std::move(symbols)) {}

  uint64_t call_back(uint64_t callback, const CallbackArgs& args,
                     RunContext& context) const override {
    UARENA_ASSERT(callback < callback_offsets_.size() && callback_offsets_[callback] != 0,
                  "program {}: callback {}", program().name(), callback);
    return entry(callback_offsets_[callback])(args[0], args[1], args[2], args[3], args[4],
                                              &context);
  }
  size_t code_bytes() const override { return block_.size(); }
  uint32_t insn_at(uint32_t place) const override {
    const auto after = std::ranges::upper_bound(insn_offsets_, place);
    return static_cast<uint32_t>(std::max<ptrdiff_t>(after - insn_offsets_.begin() - 1, 0));
  }
  std::string dump_jited() const override {
    return x86_64::list_code(program(), {block_.code(), block_.size()}, insn_offsets_);
  }

 private:
  HelperFn entry(size_t offset) const {
    return reinterpret_cast<HelperFn>(reinterpret_cast<uintptr_t>(block_.code() + offset));
  }
  uint64_t enter(void* ctx, RunContext& context) const override {
    return entry(0)(reinterpret_cast<uint64_t>(ctx), 0, 0, 0, 0, &context);
  }

  std::vector<uint32_t> insn_offsets_;
  std::vector<uint32_t> callback_offsets_;
  // In this order: the code is freed when nobody knows of it any more.
  ExecBlock block_;
  ExceptionRegion region_;
  debug::GdbEntry in_gdb_;
};

// The symbol file for gdb; perf's dump, if somebody wants one, gets the same.
std::string symbols_of(const FixedProgram& program, const x86_64::CompiledCode& compiled,
                       const ExecBlock& block) {
  const debug::CodeMap map = debug::map_code(program, compiled, {block.code(), block.size()});
  if (debug::JitDump* dump = debug::JitDump::active()) dump->add(map);
  return debug::elf_image(map);
}

Result<std::unique_ptr<Executable>> make_compiled(FixedProgram program, Constants constants) {
  const auto key =
      constants == Constants::blinded ? x86_64::new_blinding_key() : x86_64::BlindingKey{0};
  auto compiled = x86_64::compile(program, x86_64::Features::of_this_cpu(), key);
  if (!compiled) return std::unexpected(compiled.error());
  const auto memory = ExecMemory::instance();
  if (!memory) return std::unexpected(memory.error());
  auto block = (*memory)->add(compiled->code);
  if (!block) return std::unexpected(block.error());
  std::string symbols = symbols_of(program, *compiled, *block);
  return std::make_unique<CompiledProgram>(std::move(program), std::move(*block),
                                           std::move(*compiled), std::move(symbols));
}

}  // namespace

uint64_t Executable::run(std::span<std::byte> ctx, RunContext& context) const {
  UARENA_ASSERT(ctx.size() >= program_.ctx_size(), "program {}: context of {} bytes, needs {}",
                program_.name(), ctx.size(), program_.ctx_size());
  context.program = this;
  context.ctx = ctx;
  const uint64_t result = enter(ctx.data(), context);
  if (context.ended) context.held.release_all(&context);
  return result;
}

uint64_t Executable::run_callback(uint64_t callback, const CallbackArgs& args,
                                  RunContext& context) const {
  context.program = this;
  const uint64_t result = call_back(callback, args, context);
  if (context.ended) context.held.release_all(&context);
  return result;
}

std::string Executable::dump_xlated() const { return jit::dump_xlated(program_); }
bool Executable::reads_at(uint32_t insn) const {
  const auto& insns = program_.insns();
  return insn < insns.size() &&
         (insn_class(insns[insn].code) == kLdx ||
          (insn_mode(insns[insn].code) == kProbeAtomic && insns[insn].imm == kLoadAcq));
}
std::string Executable::place_of(uint32_t insn) const { return jit::place_of(program_, insn); }

Result<std::unique_ptr<Executable>> make_executable(FixedProgram program, Mode mode,
                                                    Constants constants) {
  if (auto installed = install_fault_handler(); !installed) {
    return std::unexpected(installed.error());
  }
  if (mode == Mode::interpret) return make_interpreter(std::move(program));
  return make_compiled(std::move(program), constants);
}

}  // namespace uarena::jit
