// The outcome table, row by row, and what has no row.
#include "uffd/outcome.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace uarena::uffd {
namespace {

constexpr Attempt kRangeAttempts[] = {Attempt::zeropage, Attempt::map_present, Attempt::poison};

TEST(Outcome, Success) {
  for (Attempt attempt : kRangeAttempts) EXPECT_EQ(outcome_of(attempt, 0), Outcome::installed);
  EXPECT_EQ(outcome_of(Attempt::signal, 0), Outcome::installed);
  EXPECT_EQ(outcome_of(Attempt::wake, 0), Outcome::present);
}

TEST(Outcome, RangeOperationsShareTheirErrnos) {
  for (Attempt attempt : kRangeAttempts) {
    EXPECT_EQ(outcome_of(attempt, EEXIST), Outcome::present);
    EXPECT_EQ(outcome_of(attempt, EAGAIN), Outcome::deferred);
    EXPECT_EQ(outcome_of(attempt, ENOENT), Outcome::discarded);
    EXPECT_EQ(outcome_of(attempt, ESRCH), Outcome::discarded);
    EXPECT_EQ(outcome_of(attempt, EINVAL), Outcome::error);
    EXPECT_EQ(outcome_of(attempt, ENOMEM), Outcome::error);
    EXPECT_EQ(outcome_of(attempt, EFAULT), Outcome::error);
  }
}

TEST(Outcome, SignalsAndWakes) {
  EXPECT_EQ(outcome_of(Attempt::signal, ESRCH), Outcome::discarded);
  EXPECT_EQ(outcome_of(Attempt::signal, EPERM), Outcome::error);
  EXPECT_EQ(outcome_of(Attempt::signal, EAGAIN), Outcome::error);
  EXPECT_EQ(outcome_of(Attempt::wake, EINVAL), Outcome::error);
  EXPECT_EQ(outcome_of(Attempt::wake, EAGAIN), Outcome::error);
}

TEST(Outcome, Names) {
  EXPECT_EQ(to_string(Outcome::installed), "installed");
  EXPECT_EQ(to_string(Outcome::present), "present");
  EXPECT_EQ(to_string(Outcome::deferred), "deferred");
  EXPECT_EQ(to_string(Outcome::discarded), "discarded");
  EXPECT_EQ(to_string(Outcome::error), "error");
}

}  // namespace
}  // namespace uarena::uffd
