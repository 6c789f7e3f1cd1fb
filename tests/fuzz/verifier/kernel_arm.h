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
  // Whether it knows no chance, is a syscall program, and has to do with maps that are made there:
  // those that are plain bytes. Atomic operations are left out: on an absent page 6.18 does not
  // zero what they fetch (K51), and across a cache line they do harm to it.
  static bool can_run(const jit::ProgramDef& program);

  // Runs the world's program, of which that is true, on the bytes of `memory`. None: the kernel
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
