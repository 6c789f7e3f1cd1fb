// Asks the live kernel what it thinks of one program, with types, source lines and the verifier's
// log, through raw bpf(2).
#pragma once

#include <string>
#include <vector>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"
#include "jit/object.h"

namespace uarena::testing {

struct KernelQuestion {
  const jit::Object* object = nullptr;
  const jit::ProgramDef* program = nullptr;
  std::vector<int> maps;  // descriptors, as Object::maps
  int btf = -1;           // of load_btf_into_kernel()
  int log_level = 0;      // above 0 also hands the source lines over
  bool without_perfmon = false;
};

struct KernelAnswer {
  Fd program;     // none: refused
  int error = 0;  // the kernel's errno then
  std::string log;
};

// An error: the question could not be put, e.g. the kernel has no such function.
Result<KernelAnswer> ask_kernel(const KernelQuestion& question);

}  // namespace uarena::testing
