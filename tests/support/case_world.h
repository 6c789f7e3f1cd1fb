// Makes an Object of a text case: the maps, kernel functions and types of case_world.bpf.o, and one
// program with the case's own instructions. The object is whole: it can be verified here and loaded
// into the live kernel. Only for targets made by uarena_test() that build case_world_bpf.
#pragma once

#include <map>
#include <string>

#include "jit/object.h"
#include "tests/support/verifier_case.h"

namespace uarena::test {

struct CaseObject {
  jit::Object object;                    // its one program is the case
  std::map<std::string, size_t> labels;  // instructions by label

  // The instruction at a label, or the number itself.
  size_t insn_at(const std::string& label) const;
};

inline constexpr uint64_t kCaseArenaAddress = 0x7e9000000000;
inline constexpr uint64_t kCaseArenaBytes = uint64_t{1} << 20;
// Beside the world's arena, for programs that name two; an object file can't have it.
inline constexpr std::string_view kSecondArena = "arena2";

// The world without any program of a case.
const jit::Object& case_world();

Result<CaseObject> make_case_object(const VerifierCase& c);

}  // namespace uarena::test
