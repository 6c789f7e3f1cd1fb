// The soundness oracle: random programs are verified, and those that are accepted run under the
// eyes of verifier/oracle.h. A finding is a bug of the verifier, or of an executor.
#include "tests/fuzz/verifier/programs.h"

namespace uarena::fuzz {
namespace {

class VerifierTarget final : public ProgramTarget {
  Outcome check(const jit::Object& object, uint64_t data) override {
    return check_program(object, data);
  }
};

}  // namespace
}  // namespace uarena::fuzz

int main(int argc, char** argv) {
  uarena::fuzz::VerifierTarget target;
  return uarena::fuzz::fuzz_main(argc, argv, "verifier", target);
}
