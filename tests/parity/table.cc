#include "tests/parity/table.h"

#include <algorithm>

namespace uarena::testing {
namespace {

constexpr const char* kFailed = "failed: ";

std::string answer_of(const Question& question, Side& side) {
  try {
    return question.answer(side);
  } catch (const std::exception& error) {
    return kFailed + std::string(error.what());
  }
}

std::string_view word_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::same:
      return "same";
    case Verdict::reason:
      return "differs";
    case Verdict::wrong:
      return "WRONG";
  }
  return "";
}

}  // namespace

Judged judge(const Question& question, std::string kernel, std::string ours,
             std::span<const Reason> reasons) {
  Judged judged{question.row,    question.asked, std::move(kernel),
                std::move(ours), Verdict::wrong, {}};
  const bool failed = judged.kernel.find(kFailed) != std::string::npos ||
                      judged.ours.find(kFailed) != std::string::npos;
  if (failed) {
    judged.why = "the question could not be asked";
    return judged;
  }
  if (judged.kernel == judged.ours) {
    judged.verdict = Verdict::same;
    return judged;
  }
  const auto known = std::ranges::find_if(reasons, [&](const Reason& reason) {
    return reason.row == judged.row && reason.asked == judged.asked &&
           reason.kernel == judged.kernel && reason.ours == judged.ours;
  });
  if (known == reasons.end()) {
    judged.why = "no reason is listed for these two answers";
    return judged;
  }
  judged.verdict = Verdict::reason;
  judged.why = known->why;
  return judged;
}

Judged ask_both(const Question& question, Side& kernel, Side& ours,
                std::span<const Reason> reasons) {
  std::string theirs = answer_of(question, kernel);
  return judge(question, std::move(theirs), answer_of(question, ours), reasons);
}

std::string table_text(std::span<const Judged> rows) {
  std::string text;
  const auto count = [&](Verdict verdict) {
    return std::ranges::count(rows, verdict, &Judged::verdict);
  };
  for (const Judged& row : rows) {
    text += fmt::format("{:<8} {:<8} {}\n", row.row, word_of(row.verdict), row.asked);
    if (row.verdict == Verdict::same) {
      text += fmt::format("{:17} both:   {}\n", "", row.kernel);
      continue;
    }
    text += fmt::format("{:17} kernel: {}\n{:17} uarena: {}\n{:17} why:    {}\n", "", row.kernel,
                        "", row.ours, "", row.why);
  }
  text +=
      fmt::format("\n{} questions: {} the same, {} different for a reason, {} wrong\n", rows.size(),
                  count(Verdict::same), count(Verdict::reason), count(Verdict::wrong));
  return text;
}

std::string not_asked_text(std::span<const NotAsked> rows) {
  std::string text = "Not asked here\n";
  for (const NotAsked& row : rows) text += fmt::format("{:<8} {}\n", row.rows, row.why);
  return text;
}

std::string reasons_text(std::span<const Reason> reasons) {
  std::string table = "| row | asked | the kernel | uarena | why |\n|---|---|---|---|---|\n";
  for (const Reason& reason : reasons)
    table += fmt::format("| {} | {} | {} | {} | {} |\n", reason.row, reason.asked, reason.kernel,
                         reason.ours, reason.why);
  return table;
}

std::vector<Question> parity_questions() {
  std::vector<Question> all;
  for (const auto part : {creation_questions(), mapping_questions(), own_mapping_questions(),
                          fault_questions(), page_questions(), program_questions()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace uarena::testing
