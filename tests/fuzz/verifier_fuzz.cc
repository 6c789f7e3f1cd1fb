// The soundness oracle: random programs are verified, and those that are accepted run under the
// eyes of verifier/oracle.h. A finding is a bug of the verifier, or of an executor.
#include <algorithm>
#include <cstring>

#include "tests/fuzz/driver.h"
#include "tests/fuzz/verifier/check.h"
#include "tests/fuzz/verifier/generator.h"
#include "tests/fuzz/verifier/text.h"
#include "tests/fuzz/verifier/world.h"

namespace uarena::fuzz {
namespace {

// A program that is rejected is repaired at most so often before it is given up.
constexpr int kRepairs = 6;
// Programs that were accepted and are changed again.
constexpr size_t kKept = 256;

class VerifierTarget final : public Target {
 public:
  std::vector<std::byte> make(Random& random) override {
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
    return bytes_of(input);
  }

  std::string run(std::span<const std::byte> bytes, Progress& progress) override {
    auto input = from_text({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (!input) return "the input is no program text";
    Outcome outcome = check(*input);
    for (int n = 0; n < kRepairs && !outcome.accepted; ++n) {
      repair(repairs_, input->program, outcome.rejected_at);
      progress.trying(bytes_of(*input));
      outcome = check(*input);
    }
    if (!outcome.accepted) return {};
    progress.accepted(outcome.insns);
    if (kept_.size() < kKept) kept_.emplace_back();
    kept_[next_++ % kKept % kept_.size()] = input->program;
    return outcome.finding;
  }

 private:
  Outcome check(const Input& input) {
    object_.programs[0] = input.program;
    return check_program(object_, input.data);
  }

  static std::vector<std::byte> bytes_of(const Input& input) {
    const std::string text = to_text(input);
    std::vector<std::byte> bytes(text.size());
    std::memcpy(bytes.data(), text.data(), text.size());
    return bytes;
  }

  jit::Object object_ = make_world();
  std::vector<jit::ProgramDef> kept_;
  size_t next_ = 0;
  Random repairs_{1};
};

}  // namespace
}  // namespace uarena::fuzz

int main(int argc, char** argv) {
  uarena::fuzz::VerifierTarget target;
  return uarena::fuzz::fuzz_main(argc, argv, "verifier", target);
}
