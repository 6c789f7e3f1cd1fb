// The one list of answers that differ from the kernel's, each with its reason.
// docs/kernel-parity.md shows it ("Answers that differ"), and a test keeps the two the same.
#pragma once

#include <span>

namespace uarena::testing {

struct Reason {
  const char* row;
  const char* asked;   // the question, word for word
  const char* kernel;  // its answer, as Linux 6.18 gives it
  const char* ours;
  const char* why;
};

std::span<const Reason> parity_reasons();

}  // namespace uarena::testing
