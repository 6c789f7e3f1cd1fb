// Asks both sides every question and judges the answers: the same, or different for a reason that
// is in the list with exactly these two answers, or wrong. A newer kernel may answer as uarena does
// where 6.18 did not: that is the same, too.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tests/parity/reasons.h"
#include "tests/parity/rows.h"

namespace uarena::testing {

enum class Verdict { same, reason, wrong };

struct Judged {
  std::string row;
  std::string asked;
  std::string kernel;
  std::string ours;
  Verdict verdict = Verdict::wrong;
  std::string why;  // of a difference
};

Judged judge(const Question& question, std::string kernel, std::string ours,
             std::span<const Reason> reasons);
// An exception of a scenario is its answer, and never the same.
Judged ask_both(const Question& question, Side& kernel, Side& ours,
                std::span<const Reason> reasons);

// For people: one paragraph a row, and a line of sums at the end.
std::string table_text(std::span<const Judged> rows);
std::string not_asked_text(std::span<const NotAsked> rows);
// For docs/kernel-parity.md.
std::string reasons_text(std::span<const Reason> reasons);

}  // namespace uarena::testing
