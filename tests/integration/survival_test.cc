// Brokers die by SIGKILL, and nothing else does: pages, programs, attachments, numbers and clients
// that wait are there in the successor.
#include <random>
#include <set>
#include <sstream>

#include "tests/integration/survival_fixture.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(Survival, AHundredKillsLoseNothing) {
  constexpr int kKills = 100;
  std::vector<std::unique_ptr<ChildProcess>> survivors;
  for (const char* name : {"one", "two"}) survivors.push_back(survivor(name));
  const auto all_say = [&](const std::string& order) {
    for (auto& one : survivors) one->write_line(order);
    for (auto& one : survivors) {
      const std::string line = one->read_line(std::chrono::seconds(30));
      ASSERT_THAT(line, StartsWith("good "));
      std::printf("%s\n", line.c_str());
    }
  };
  for (int i = 1; i <= kKills; ++i) {
    // Some die while they take over what others have left.
    spend(random_us(i % 5 == 0 ? 1'000 : 10'000));
    kill_broker();
    if (i % 5 != 4) wait_ready();
    if (i % 10 == 0) all_say("check");
    if (HasFatalFailure()) return;
  }
  all_say("end");
  std::set<std::string> given;
  for (auto& one : survivors) {
    for (int kind = 0; kind < 2; ++kind) {
      std::istringstream words(one->read_line());
      std::string what, number;
      words >> what;
      while (words >> number) {
        EXPECT_TRUE(given.insert(what + number).second) << what << ' ' << number << " given twice";
      }
    }
    EXPECT_EQ(one->wait(), 0);
  }
  EXPECT_GT(given.size(), 100U);
  EXPECT_EQ(lines_with("takeover.lost"), "");
  EXPECT_EQ(lines_with("not_resumed"), "");
  EXPECT_EQ(lines_with("lines_dropped"), "");
}

}  // namespace
}  // namespace uarena::testing
