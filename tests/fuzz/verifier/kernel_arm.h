// The fourth way a generated program runs: in the live kernel, on the same bytes. What both accept
// must return the same and leave the same behind.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "jit/object.h"
#include "tests/fuzz/verifier/world.h"

namespace uarena::fuzz {

class KernelArm {
 public:
  // The one of this process; null where the kernel has no arenas, or lets us have none.
  static KernelArm* instance();
  ~KernelArm();

  struct Left {
    uint32_t result = 0;             // the low half of R0 is all that comes back
    std::vector<std::byte> visible;  // as Memory::visible()
  };
  // Runs the world's program, which knows no chance, on the bytes of `memory`. None: the kernel
  // refuses it, which is the business of the text cases.
  std::optional<Left> run(const jit::Object& object, Memory& memory);

  uint64_t accepted() const { return accepted_; }

 private:
  struct Maps;
  static std::unique_ptr<KernelArm> create();
  explicit KernelArm(std::unique_ptr<Maps> maps);
  std::unique_ptr<Maps> maps_;
  uint64_t accepted_ = 0;
};

}  // namespace uarena::fuzz
