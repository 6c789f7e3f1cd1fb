// The verifier's text cases in the live kernel: loaded, never run. The kernel must say the same of
// each, in the same words where the case does not quote others, unless the case states a difference
// and its reason. What the kernel calls unsafe must never be accepted here: a case may say "kernel
// reject" of what we accept only for length or for a rule of another version.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

#include "tests/support/case_world.h"
#include "tests/support/kernel_loader.h"
#include "tests/support/kernel_program.h"

namespace uarena::testing {
namespace {

using test::DifferenceClass;
using test::VerifierCase;

constexpr double kMostDifferences = 0.05;  // of all cases

// The world's maps in the kernel. Nothing runs, so the arenas need no mapping.
const KernelObject& kernel_world(bool with_address) {
  const auto make = [](std::optional<uint64_t> map_extra) {
    KernelLoadOptions options;
    options.map_arenas = false;
    options.arena_map_extra = map_extra;
    auto made = KernelObject::make_maps(test::case_world(), options);
    EXPECT_TRUE(made) << made.error().message;
    return made ? std::move(*made) : KernelObject{};
  };
  if (with_address) {
    static const KernelObject world = make(std::nullopt);
    return world;
  }
  static const KernelObject without = make(0);
  return without;
}

Result<KernelAnswer> ask(const VerifierCase& c, const test::CaseObject& made) {
  auto btf = load_btf_into_kernel(made.object);
  if (!btf) return std::unexpected(btf.error());
  KernelQuestion question;
  question.object = &made.object;
  question.program = &made.object.programs[0];
  question.maps = kernel_world(!c.no_address).map_fds();
  question.btf = btf->get();
  question.without_perfmon = c.unprivileged;
  // The verdict counts without a log: one that does not fit its buffer is an error of its own.
  auto answer = ask_kernel(question);
  if (!answer) return answer;
  question.log_level = c.states.empty() ? 1 : 2;
  auto told = ask_kernel(question);
  if (!told) return told;
  answer->log = std::move(told->log);
  return answer;
}

// The kernel's ENOTSUPP has no name outside of it.
std::string error_name(int error) {
  const char* name = ::strerrorname_np(error);
  return name != nullptr ? name : error == 524 ? "ENOTSUPP" : std::to_string(error);
}

void expect_words(const VerifierCase& c, const KernelAnswer& answer) {
  const std::string& words = c.kernel_message.empty() ? c.message : c.kernel_message;
  const std::string& error = c.kernel_error.empty() ? c.error : c.kernel_error;
  EXPECT_NE(answer.log.find(words), std::string::npos)
      << "expected: " << words << "\nthe kernel's log:\n"
      << answer.log;
  EXPECT_EQ(error_name(answer.error), error) << answer.log;
}

class KernelVerifier : public ::testing::TestWithParam<VerifierCase> {};

TEST_P(KernelVerifier, Verdict) {
  if (const auto reason = kernel_arena_unavailable()) GTEST_SKIP() << *reason;
  const VerifierCase& c = GetParam();
  SCOPED_TRACE(c.file + ".txt:" + std::to_string(c.line));
  const auto made = test::make_case_object(c);
  ASSERT_TRUE(made) << made.error().message;
  const auto answer = ask(c, *made);
  ASSERT_TRUE(answer) << answer.error().message;
  const bool accepts = static_cast<bool>(answer->program);
  if (c.difference) {
    EXPECT_EQ(accepts, c.difference->kernel_accepts) << answer->log;
    return;
  }
  ASSERT_EQ(accepts, c.accept) << "the kernel " << (accepts ? "accepts" : "rejects") << " it\n"
                               << answer->log;
  if (!accepts) expect_words(c, *answer);
  for (const test::StateExpectation& state : c.states) {
    if (state.only_ours) continue;
    EXPECT_TRUE(test::log_says(answer->log, made->insn_at(state.at), state.text))
        << "expected after " << state.at << ": " << state.text << "\n"
        << answer->log;
  }
}

INSTANTIATE_TEST_SUITE_P(Text, KernelVerifier, ::testing::ValuesIn(test::verifier_cases_or_die()),
                         [](const auto& param) {
                           return param.param.file + "_" + param.param.name;
                         });

TEST(VerifierDifferences, AreDifferencesAndNoneIsUnsafe) {
  for (const VerifierCase& c : test::verifier_cases_or_die()) {
    if (!c.difference) continue;
    SCOPED_TRACE(c.file + ".txt:" + std::to_string(c.line));
    EXPECT_NE(c.difference->kernel_accepts, c.accept) << "the case says that nothing differs";
    const bool harmless = c.difference->why == DifferenceClass::length ||
                          c.difference->why == DifferenceClass::version;
    EXPECT_TRUE(!c.accept || harmless) << "accepted here, and called unsafe by the kernel";
  }
}

TEST(VerifierDifferences, AreFew) {
  const auto cases = test::verifier_cases_or_die();
  const auto differing =
      std::ranges::count_if(cases, [](const VerifierCase& c) { return c.difference.has_value(); });
  EXPECT_LE(static_cast<double>(differing), kMostDifferences * static_cast<double>(cases.size()))
      << differing << " of " << cases.size();
}

// The table in docs/kernel-parity.md as it ought to be.
std::string table_of_differences() {
  std::string table = "| case | the kernel | class | why |\n|---|---|---|---|\n";
  for (const VerifierCase& c : test::verifier_cases_or_die()) {
    if (!c.difference) continue;
    table += fmt::format("| {}: {} | {} | {} | {} |\n", c.file, c.name,
                         c.difference->kernel_accepts ? "accepts" : "rejects",
                         name_of(c.difference->why), c.difference->reason);
  }
  return table;
}

TEST(VerifierDifferences, AreListedInTheDocs) {
  std::ifstream file(UARENA_SOURCE_DIR "/docs/kernel-parity.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find("\n\n" + table_of_differences() + "\n"), std::string::npos)
      << "the section \"Verdicts that differ\" of docs/kernel-parity.md ought to have this "
         "table:\n\n"
      << table_of_differences();
}

}  // namespace
}  // namespace uarena::testing
