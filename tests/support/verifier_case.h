// The text cases of the verifier, tests/jit/verifier/cases/*.txt. A case:
//
//   === name
//   accept                       or: reject ERRNO part of the message
//   header lines, any of these:
//     section NAME               the program's section; "syscall" without it
//     limit N                    instructions that our walk may take
//     no_address                 the arena has no user address
//     unprivileged               compared with the kernel's rules for loaders without CAP_PERFMON
//     ctx N                      accepted: bytes of context accessed
//     stack FUNCTION N           accepted: bytes of stack
//     zeroed FUNCTION            accepted: its stack must be zeroed, as it may be read unwritten
//     fact LABEL WORD            accepted: arena|stack|map|ctx|packet|memory|alu|dead|budget
//     state AT TEXT              what the log of level 2 says after an instruction (its number or
//                                label), the kernel's log too; with "ours" before TEXT: only ours
//     kernel accept|reject CLASS: reason
//                                the live kernel differs; CLASS is one of the enum below
//     kernel says [ERRNO] TEXT   same verdict, its own words
//   ---
//   instructions (tests/support/bpf_asm.h)
//
// In the instructions maps and functions have names, which tests/bpf/case_world.bpf.c declares:
//   r1 = map[NAME]   r1 = map[NAME][0]+8   call bpf_HELPER   call kfunc NAME   r2 = func NAME
// "function NAME" starts a static subprogram, "global NAME" one with the type that the world gives
// to the global function of that name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ipc/base/result.h"

namespace uarena::test {

enum class DifferenceClass : uint8_t {
  length,     // the kernel gives up on what is only long
  version,    // a rule that the running kernel does not have yet, or no longer
  internals,  // of the kernel, which have no counterpart here
  privilege,  // what the kernel lets privileged loaders do and uarena lets nobody
};
std::string_view name_of(DifferenceClass c);

struct Difference {
  bool kernel_accepts = false;
  DifferenceClass why = DifferenceClass::internals;
  std::string reason;
};

struct StateExpectation {
  std::string at;  // a label or a number
  std::string text;
  bool only_ours = false;
};

struct VerifierCase {
  std::string name;
  std::string file;  // without folder and ending
  size_t line = 0;

  bool accept = false;
  std::string error;  // "EINVAL"
  std::string message;
  std::string section = "syscall";
  std::optional<uint64_t> limit;
  bool no_address = false;
  bool unprivileged = false;
  std::vector<std::vector<std::string>> findings;  // ctx, stack, zeroed and fact lines, as words
  std::vector<StateExpectation> states;
  std::optional<Difference> difference;
  std::string kernel_error;  // empty: as ours
  std::string kernel_message;

  std::string text;
};

void PrintTo(const VerifierCase& c, std::ostream* out);

// Whether a log, ours or the kernel's, has `text` in a line about what instruction `insn` led to.
// The kernel's marks of liveness and precision don't matter ("R1_w=P5" is "R1=5").
bool log_says(std::string_view log, size_t insn, std::string_view text);

// All cases of the tree, by file. An error names file and line.
Result<std::vector<VerifierCase>> read_verifier_cases();
// For the parameters of tests: prints the error and aborts.
std::vector<VerifierCase> verifier_cases_or_die();

}  // namespace uarena::test
