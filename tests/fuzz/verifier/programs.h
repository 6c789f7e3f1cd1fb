// A target whose inputs are generated programs: new ones, and those that were accepted, changed
// again; what is rejected is repaired where it was, a few times.
#pragma once

#include "tests/fuzz/driver.h"
#include "tests/fuzz/verifier/check.h"
#include "tests/fuzz/verifier/text.h"

namespace uarena::fuzz {

class ProgramTarget : public Target {
 public:
  ProgramTarget();
  std::vector<std::byte> make(Random& random) final;
  std::string run(std::span<const std::byte> bytes, Progress& progress) final;

 protected:
  // `object` is the world (world.h) with a program, `data` the seed of the bytes that it runs on.
  virtual Outcome check(const jit::Object& object, uint64_t data) = 0;

 private:
  Outcome check_input(const Input& input);

  jit::Object object_;
  std::vector<jit::ProgramDef> kept_;
  size_t next_ = 0;
  Random repairs_{1};
};

}  // namespace uarena::fuzz
