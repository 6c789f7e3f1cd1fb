#include "tests/fuzz/verifier/programs.h"

#include "tests/fuzz/damage.h"
#include "tests/fuzz/verifier/generator.h"
#include "tests/fuzz/verifier/world.h"

namespace uarena::fuzz {
namespace {

// A program that is rejected is repaired at most so often before it is given up.
constexpr int kRepairs = 6;
// Programs that were accepted and are changed again.
constexpr size_t kKept = 256;

}  // namespace

ProgramTarget::ProgramTarget() : object_(make_world()) {}

std::vector<std::byte> ProgramTarget::make(Random& random) {
  Input input;
  input.program = object_.programs[0];
  if (!kept_.empty() && random.one_in(3)) {
    input.program = kept_[random.below(kept_.size())];
    mutate(random, input.program);
  } else {
    generate(random, input.program);
  }
  input.data = random.below(1'000'000);
  repairs_ = Random(random.bits());
  return bytes_of_text(to_text(input));
}

std::string ProgramTarget::run(std::span<const std::byte> bytes, Progress& progress) {
  auto input = from_text(text_of(bytes));
  if (!input) return "the input is no program text";
  Outcome outcome = check_input(*input);
  for (int n = 0; n < kRepairs && !outcome.accepted; ++n) {
    repair(repairs_, input->program, outcome.rejected_at);
    progress.trying(bytes_of_text(to_text(*input)));
    outcome = check_input(*input);
  }
  if (!outcome.accepted) return {};
  progress.accepted(outcome.insns);
  if (kept_.size() < kKept) kept_.emplace_back();
  kept_[next_++ % kKept % kept_.size()] = input->program;
  return outcome.finding;
}

Outcome ProgramTarget::check_input(const Input& input) {
  object_.programs[0] = input.program;
  return check(object_, input.data);
}

}  // namespace uarena::fuzz
