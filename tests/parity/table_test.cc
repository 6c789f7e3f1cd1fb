// Each question of the parity table as a test, and what keeps the table honest: a difference
// without a reason is wrong, every reason belongs to a question, every row is asked or said not to
// be, and docs/kernel-parity.md shows the same reasons.
#include "tests/parity/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

namespace uarena::testing {
namespace {

class Parity : public ::testing::TestWithParam<Question> {};

TEST_P(Parity, SameOrForAReason) {
  if (const auto reason = kernel_arena_unavailable()) GTEST_SKIP() << *reason;
  const auto kernel = kernel_side();
  const auto ours = our_side();
  const Judged judged = ask_both(GetParam(), *kernel, *ours, parity_reasons());
  EXPECT_NE(judged.verdict, Verdict::wrong) << table_text({{judged}});
}

// "K16-K18: the first mapping, …" as a name: letters, digits, underscores.
std::string name_of(const ::testing::TestParamInfo<Question>& info) {
  std::string name = std::string(info.param.row) + "_" + info.param.asked;
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Rows, Parity, ::testing::ValuesIn(parity_questions()), name_of);

const Question kQuestion{"K1", "how it is", nullptr};
constexpr Reason kReason[] = {{"K1", "how it is", "one", "two", "because"}};

TEST(Judgement, SameAnswersNeedNoReason) {
  EXPECT_EQ(judge(kQuestion, "one", "one", {}).verdict, Verdict::same);
  // As a newer kernel may answer.
  EXPECT_EQ(judge(kQuestion, "two", "two", kReason).verdict, Verdict::same);
}

TEST(Judgement, ADifferenceNeedsTheReasonOfExactlyThisDifference) {
  EXPECT_EQ(judge(kQuestion, "one", "two", {}).verdict, Verdict::wrong);
  const Judged known = judge(kQuestion, "one", "two", kReason);
  EXPECT_EQ(known.verdict, Verdict::reason);
  EXPECT_EQ(known.why, "because");
  EXPECT_EQ(judge(kQuestion, "one", "three", kReason).verdict, Verdict::wrong);
  EXPECT_EQ(judge(kQuestion, "three", "two", kReason).verdict, Verdict::wrong);
  EXPECT_EQ(judge(kQuestion, "two", "one", kReason).verdict, Verdict::wrong);
  const Question another{"K1", "how it was", nullptr};
  EXPECT_EQ(judge(another, "one", "two", kReason).verdict, Verdict::wrong);
}

TEST(Judgement, WhatCouldNotBeAskedIsNeverTheSame) {
  EXPECT_EQ(judge(kQuestion, "failed: mmap", "failed: mmap", {}).verdict, Verdict::wrong);
}

TEST(Reasons, BelongToAQuestionEach) {
  const auto questions = parity_questions();
  std::set<std::pair<std::string, std::string>> seen;
  for (const Reason& reason : parity_reasons()) {
    EXPECT_TRUE(seen.emplace(reason.row, reason.asked).second) << reason.row << " twice";
    EXPECT_TRUE(std::ranges::any_of(questions,
                                    [&](const Question& question) {
                                      return std::string(question.row) == reason.row &&
                                             std::string(question.asked) == reason.asked;
                                    }))
        << reason.row << ": nobody asks \"" << reason.asked << "\"";
    EXPECT_STRNE(reason.kernel, reason.ours) << reason.row;
  }
}

std::string document(const char* name) {
  std::ifstream file(std::string(UARENA_SOURCE_DIR) + "/docs/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Reasons, AreListedInTheDocs) {
  const std::string table = reasons_text(parity_reasons());
  EXPECT_NE(document("kernel-parity.md").find("\n\n" + table + "\n"), std::string::npos)
      << "the section \"Answers that differ\" of docs/kernel-parity.md ought to have this "
         "table:\n\n"
      << table;
}

// "K42-K43" are two rows.
void enter(std::set<int>& rows, const std::string& text) {
  static const std::regex pattern("K([0-9]+)(-K([0-9]+))?");
  std::smatch match;
  ASSERT_TRUE(std::regex_match(text, match, pattern)) << text;
  const int first = std::stoi(match[1]);
  const int last = match[3].matched ? std::stoi(match[3]) : first;
  for (int row = first; row <= last; ++row) rows.insert(row);
}

TEST(Rows, OfTheDocsAreAskedOrSaidNotToBe) {
  std::set<int> documented, covered;
  const std::string text = document("kernel-parity.md");
  static const std::regex cell(R"(\n\| (K[0-9]+(-K[0-9]+)?) \|)");
  for (auto it = std::sregex_iterator(text.begin(), text.end(), cell); it != std::sregex_iterator();
       ++it)
    enter(documented, (*it)[1]);
  for (const Question& question : parity_questions()) enter(covered, question.row);
  for (const NotAsked& rows : rows_not_asked()) enter(covered, rows.rows);
  EXPECT_GE(documented.size(), 85u);
  EXPECT_EQ(covered, documented);
}

}  // namespace
}  // namespace uarena::testing
