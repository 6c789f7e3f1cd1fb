// Verify, run under the oracle twice, run compiled, compare.
#include "tests/fuzz/verifier/check.h"

#include <fmt/format.h>

#include <algorithm>

#include "tests/fuzz/verifier/kernel_arm.h"
#include "tests/fuzz/verifier/oracle.h"

namespace uarena::fuzz {
namespace {

// Mostly short walks; now and then enough for loops that are walked pass by pass until they are
// widened.
constexpr uint64_t kInsnLimit = 3'000;
constexpr uint64_t kPatientLimit = 60'000;
constexpr uint64_t kPatientOneIn = 16;
// Turns of loops until a run that may be endless is over.
constexpr uint64_t kFewTurns = 300;
constexpr uint64_t kPoisons[] = {0xa5a5a5a5a5a5a5a5, 0x1};
// So many times a program runs, each time on other bytes.
constexpr uint64_t kRuns = 4;
// The kernel is asked about one of so many; that takes as long as some hundred other programs.
constexpr uint64_t kKernelOneIn = 4;
constexpr uint64_t kSeedStep = 1'000'003;

struct Run {
  uint64_t result = 0;
  bool ended = false;           // in the middle: results differ legitimately
  std::string holds;            // what it still does after its own end
  bool kernel_differs = false;  // WorldRun::kernel_differs
  std::vector<std::byte> visible;
};

// Whoever started the run does not wait, so that it is over when the turns are used up.
const std::atomic<bool> kNobodyWaits{true};

Run execute(const jit::Executable& program, Memory& memory, WorldRun& context) {
  const jit::ArenaView view = memory.arena().view();
  context.arena = &view;
  context.turns_left = kFewTurns;
  context.turns_after_limit = jit::kTurns - kFewTurns;
  context.cancelled = &kNobodyWaits;
  Run run;
  run.result = program.run(memory.ctx(), context);
  run.ended = context.ended || context.may_goto_expired;
  run.kernel_differs = context.kernel_differs;
  run.visible = memory.visible();
  run.visible.insert(run.visible.end(), context.submitted.begin(), context.submitted.end());
  const bool holds =
      context.held.count() != 0 || context.preempt_depth != 0 || context.rcu_depth != 0;
  if (holds && !context.ended)
    run.holds = fmt::format("the program ends with {} records and locks, in {} + {} sections",
                            context.held.count(), context.preempt_depth, context.rcu_depth);
  return run;
}

std::string compare(const Run& a, const Run& b, const char* what) {
  if (a.ended || b.ended) return {};
  if (a.result != b.result)
    return fmt::format("{}: the program returns {:#x} and {:#x}", what, a.result, b.result);
  const auto [x, y] = std::ranges::mismatch(a.visible, b.visible);
  if (x == a.visible.end()) return {};
  return fmt::format("{}: byte {} of what others see is {:#x} and {:#x}", what,
                     x - a.visible.begin(), static_cast<int>(*x), static_cast<int>(*y));
}

// One accepted program on the bytes of one seed.
class Trial {
 public:
  Trial(const jit::Object& object, const jit::VerifiedProgram& verified, const StateRecord& record,
        uint64_t seed)
      : object_(object), verified_(verified), record_(record), seed_(seed) {}

  // Finding, or nothing.
  std::string run(uint64_t n) {
    Run first;
    if (std::string finding = interpret(kPoisons[n % 2], first); !finding.empty()) return finding;
    if (n == 0) {
      Run second;
      std::string finding = interpret(kPoisons[1], second);
      if (finding.empty()) finding = compare(first, second, "addresses or garbage are seen");
      if (!finding.empty()) return finding;
    }
    Memory memory(type(), seed_);
    WorldRun context(seed_);
    const auto compiled =
        jit::make_executable(jit::fix_up(verified_, memory.binding()), jit::Mode::compile);
    if (!compiled) return "can't be compiled: " + compiled.error().message;
    std::string finding =
        compare(first, execute(**compiled, memory, context), "interpreted and compiled");
    if (finding.empty() && n == 0) finding = ask_kernel(first);
    return finding;
  }

  uint64_t insns() const { return insns_; }

 private:
  jit::ProgramType type() const {
    return jit::program_type_of(verified_.def().section).value_or(jit::ProgramType::syscall);
  }

  // What depends on chance, on garbage of the stack or on the clock is not comparable.
  std::string ask_kernel(Run mine) {
    const bool garbage = std::ranges::count(verified_.zeroed_stack(), true) > 0;
    if (mine.ended || mine.kernel_differs || garbage || seed_ % kKernelOneIn != 0) return {};
    if (!KernelArm::can_run(object_.programs[0])) return {};
    KernelArm* const kernel = KernelArm::instance();
    if (kernel == nullptr) return {};
    Memory memory(type(), seed_);
    auto left = kernel->run(object_, memory);
    if (!left) return {};
    mine.result = static_cast<uint32_t>(mine.result);
    Run theirs;
    theirs.result = left->result;
    theirs.visible = std::move(left->visible);
    return compare(mine, theirs, "here and in the kernel");
  }

  std::string interpret(uint64_t poison, Run& run) {
    Memory memory(type(), seed_);
    WorldRun context(seed_);
    Oracle oracle(object_, verified_, record_, memory, context, poison);
    const auto program = jit::make_interpreter(jit::fix_up(verified_, memory.binding()), &oracle);
    run = execute(*program, memory, context);
    insns_ += oracle.insns();
    return oracle.finding().empty() ? run.holds : oracle.finding();
  }

  const jit::Object& object_;
  const jit::VerifiedProgram& verified_;
  const StateRecord& record_;
  const uint64_t seed_;
  uint64_t insns_ = 0;
};

}  // namespace

Outcome check_program(const jit::Object& object, uint64_t seed) {
  Outcome outcome;
  StateRecord record;
  jit::VerifierInput input;
  input.object = &object;
  input.functions = &world_functions();
  input.user_vm_start = jit::TestArena::kUserVmStart;
  input.arena_size = uint64_t{object.maps[kArena].max_entries} * kPageSize;
  input.insn_limit = seed % kPatientOneIn == 0 ? kPatientLimit : kInsnLimit;
  input.sink = &record;
  const auto verified = jit::verify(input);
  if (!verified) {
    outcome.rejected_at = verified.error().insn;
    return outcome;
  }
  outcome.accepted = true;
  if (record.overflown() || verified->ctx_size() > kCtxBytes) return outcome;

  for (uint64_t n = 0; n < kRuns && outcome.finding.empty(); ++n) {
    Trial trial(object, *verified, record, seed + n * kSeedStep);
    outcome.finding = trial.run(n);
    outcome.insns += trial.insns();
  }
  return outcome;
}

}  // namespace uarena::fuzz
