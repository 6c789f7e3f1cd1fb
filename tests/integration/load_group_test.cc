// Who may load programs: root and the broker's own uid always, members of --load-group, and nobody
// else. The kernel says who a client is, so the clients here are real processes of another user.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/broker_process.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;

// Test processes of another user run with the group of the same number and no other.
constexpr uid_t kNobody = 65534;
constexpr int kNotPermitted = 4;  // the command's exit status

RunOutput load(const BrokerProcess& broker, uid_t uid) {
  return run_command({std::string(UARENA_BIN_DIR) + "/uarena", "-s", broker.socket(), "prog",
                      "load", std::string(UARENA_BPF_DIR) + "/answers.bpf.o"},
                     "", uid);
}

TEST(LoadGroup, WithoutOneRootAndTheBrokersUidMayLoad) {
  BrokerProcess broker;
  EXPECT_EQ(load(broker, 0).exit_code(), 0);
  const RunOutput refused = load(broker, kNobody);
  EXPECT_EQ(refused.exit_code(), kNotPermitted);
  EXPECT_THAT(refused.err,
              HasSubstr(fmt::format("uid 65534 may not load programs: allowed are root, uid {}",
                                    service_uid())));
  EXPECT_THAT(refused.err, HasSubstr("--load-group"));
}

TEST(LoadGroup, ABrokerOfAnotherUidServesItsUser) {
  BrokerProcess broker({}, kNobody);
  EXPECT_EQ(load(broker, kNobody).exit_code(), 0);
}

TEST(LoadGroup, MembersMayLoad) {
  BrokerProcess broker({"--load-group", "65534"});
  const RunOutput loaded = load(broker, kNobody);
  EXPECT_EQ(loaded.exit_code(), 0) << loaded.err;
}

TEST(LoadGroup, OthersAreToldTheGroup) {
  BrokerProcess broker({"--load-group", "daemon"});
  const RunOutput refused = load(broker, kNobody);
  EXPECT_EQ(refused.exit_code(), kNotPermitted);
  EXPECT_THAT(refused.err, HasSubstr("members of the group 'daemon'"));
}

// What a program is may be seen by all, where it and its maps lie by nobody, and machine code, in
// which that can't be hidden, by those who could look into the broker anyhow.
TEST(LoadGroup, AddressesOfTheBrokerAreNotForMembers) {
  BrokerProcess broker({"--load-group", "65534"});
  const auto command = [&](std::vector<std::string> words, uid_t uid) {
    words.insert(words.begin(), {std::string(UARENA_BIN_DIR) + "/uarena", "-s", broker.socket()});
    return run_command(words, "", uid);
  };
  const RunOutput loaded =
      command({"prog", "load", std::string(UARENA_BPF_DIR) + "/globals.bpf.o"}, kNobody);
  ASSERT_EQ(loaded.exit_code(), 0) << loaded.err;
  const RunOutput refused = command({"prog", "dump", "jited", "globals"}, kNobody);
  EXPECT_EQ(refused.exit_code(), kNotPermitted);
  EXPECT_THAT(refused.err, HasSubstr("uid 65534 may not see machine code"));
  EXPECT_THAT(command({"prog", "dump", "jited", "globals"}, 0).out, HasSubstr("globals:\n"));
  const RunOutput xlated = command({"prog", "dump", "xlated", "globals"}, kNobody);
  EXPECT_THAT(xlated.out, HasSubstr("= map[.data][0]+0\n"));
  EXPECT_THAT(xlated.out, ::testing::Not(HasSubstr("0x7f")));
}

TEST(LoadGroup, MustExist) {
  const TempDir dir;
  const RunOutput output = run_command({std::string(UARENA_BIN_DIR) + "/uarenad", "--socket",
                                        dir.path() + "/socket", "--load-group", "no-such-group"},
                                       "", 0);
  EXPECT_NE(output.exit_code(), 0);
  EXPECT_THAT(output.err, HasSubstr("there is no group 'no-such-group'"));
}

}  // namespace
}  // namespace uarena::testing
