// One program, three engines: interpreted, compiled, and compiled with its constants blinded. Where
// they differ, one of them does something that the verifier did not judge; and people who debug
// with the interpreter debug another program.
//
// Programs are those of the verifier's fuzzer (verifier/generator.h), accepted ones; but nobody
// watches these runs, so that they are what users get, and the arena's pages are there or, on
// every second pass, absent: then loads give zeros, stores are dropped, and each is counted. Each
// engine runs a program several times on the same memory, as clients do. Checked after each run:
// r0, context, packet, maps, ring and arena bytes, the faults that were counted, whether it was cut
// off, and what it still holds.
#include <fmt/format.h>

#include <algorithm>

#include "jit/turns.h"
#include "tests/fuzz/verifier/programs.h"
#include "tests/fuzz/verifier/world.h"

namespace uarena::fuzz {
namespace {

// Walks of the verifier and turns of endless loops are kept short: many programs are worth more.
constexpr uint64_t kInsnLimit = 3'000;
constexpr uint64_t kFewTurns = 300;
constexpr int kPasses = 4;
// Whoever started the run does not wait, so that it is over when the turns are used up.
const std::atomic<bool> kNobodyWaits{true};

struct Engine {
  const char* name;
  jit::Mode mode;
  jit::Constants constants;
};
constexpr Engine kEngines[] = {
    {"interpreted", jit::Mode::interpret, jit::Constants::plain},
    {"compiled", jit::Mode::compile, jit::Constants::plain},
    {"compiled with blinded constants", jit::Mode::compile, jit::Constants::blinded}};

struct Left {
  uint64_t result = 0;
  uint64_t faults = 0;
  size_t held = 0;
  bool cut_off = false;
  std::vector<std::byte> visible;
};

Left run_once(const jit::Executable& program, Memory& memory, uint64_t seed, bool absent) {
  WorldRun context(seed);
  const jit::ArenaView view = memory.arena().view();
  context.arena = &view;
  context.turns_left = kFewTurns;
  context.turns_after_limit = jit::kTurns - kFewTurns;
  context.cancelled = &kNobodyWaits;
  memory.arena().set_present(!absent);
  if (!absent) memory.arena().reset();
  Left left;
  left.result = program.run(memory.ctx(), context);
  memory.arena().set_present(true);
  left.faults = context.faults;
  left.held = context.held.count() + context.preempt_depth + context.rcu_depth;
  left.cut_off = context.ended || context.may_goto_expired;
  left.visible = memory.visible();
  left.visible.insert(left.visible.end(), context.submitted.begin(), context.submitted.end());
  return left;
}

// Runs of one engine; a run that was cut off is the last: engines count turns in their own way.
Result<std::vector<Left>> run_engine(const jit::VerifiedProgram& verified, const Engine& engine,
                                     uint64_t seed) {
  const auto type =
      jit::program_type_of(verified.def().section).value_or(jit::ProgramType::syscall);
  Memory memory(type, seed);
  auto program =
      jit::make_executable(jit::fix_up(verified, memory.binding()), engine.mode, engine.constants);
  if (!program) return std::unexpected(program.error());
  std::vector<Left> all;
  for (int pass = 0; pass < kPasses && (all.empty() || !all.back().cut_off); ++pass)
    all.push_back(run_once(**program, memory, seed + static_cast<uint64_t>(pass), pass % 2 == 1));
  return all;
}

std::string compare(const Left& a, const Left& b, const char* what, size_t pass) {
  if (a.cut_off != b.cut_off) return fmt::format("{}, run {}: cut off only once", what, pass);
  if (a.cut_off) return {};
  if (a.result != b.result)
    return fmt::format("{}, run {}: {:#x} and {:#x}", what, pass, a.result, b.result);
  if (a.faults != b.faults)
    return fmt::format("{}, run {}: {} and {} faults", what, pass, a.faults, b.faults);
  if (a.held != b.held)
    return fmt::format("{}, run {}: {} and {} things held", what, pass, a.held, b.held);
  if (a.visible == b.visible) return {};
  const auto [x, y] = std::ranges::mismatch(a.visible, b.visible);
  return fmt::format("{}, run {}: byte {} of what others see differs", what, pass,
                     x - a.visible.begin());
}

class EnginesTarget final : public ProgramTarget {
  Outcome check(const jit::Object& object, uint64_t data) override {
    Outcome outcome;
    jit::VerifierInput input;
    input.object = &object;
    input.functions = &world_functions();
    input.user_vm_start = jit::TestArena::kUserVmStart;
    input.arena_size = uint64_t{object.maps[kArena].max_entries} * kPageSize;
    input.insn_limit = kInsnLimit;
    const auto verified = jit::verify(input);
    if (!verified) {
      outcome.rejected_at = verified.error().insn;
      return outcome;
    }
    outcome.accepted = true;
    outcome.insns = verified->insns_processed();
    if (verified->ctx_size() > kCtxBytes) return outcome;
    std::vector<Left> reference;
    for (const Engine& engine : kEngines) {
      auto runs = run_engine(*verified, engine, data);
      if (!runs) outcome.finding = fmt::format("{}: {}", engine.name, runs.error().message);
      if (!runs) return outcome;
      if (reference.empty())
        reference = std::move(*runs);
      else
        for (size_t n = 0; n < std::min(reference.size(), runs->size()); ++n)
          if (outcome.finding = compare(reference[n], (*runs)[n], engine.name, n);
              !outcome.finding.empty())
            return outcome;
    }
    return outcome;
  }
};

}  // namespace
}  // namespace uarena::fuzz

int main(int argc, char** argv) {
  uarena::fuzz::EnginesTarget target;
  return uarena::fuzz::fuzz_main(argc, argv, "engines", target);
}
