// The units as files: whether systemd understands them, and how much they leave open.
#include <regex>

#include "tests/systemd/machine_fixture.h"

namespace uarena::testing {
namespace {

class Units : public InMachine {
 protected:
  static std::string file(const std::string& unit) {
    return "/usr/local/lib/systemd/system/" + unit;
  }
};

TEST_F(Units, VerifyFindsNothing) {
  Words words{"systemd-analyze", "verify", "--recursive-errors=yes"};
  // Without man(1) there is nobody to ask for the pages that the units name.
  if (machine_->run({"which", "man"}).exit_code() != 0) words.push_back("--man=no");
  for (const char* unit : {kBrokerSocket, kBroker, kFs}) words.push_back(file(unit));
  const RunOutput verified = machine_->run(words);
  EXPECT_EQ(verified.exit_code(), 0) << verified.err;
  EXPECT_EQ(verified.out + verified.err, "");
}

// Exposure is 0 (nothing left open) to 10; the threshold is its tenfold.
TEST_F(Units, ServicesAreLockedUp) {
  for (const char* unit : {kBroker, kFs}) {
    const RunOutput scored = machine_->run({"systemd-analyze", "security", "--offline=yes",
                                            "--no-pager", "--threshold=10", file(unit)});
    EXPECT_EQ(scored.exit_code(), 0) << unit << "\n" << scored.out;
    std::smatch level;
    ASSERT_TRUE(
        std::regex_search(scored.out, level, std::regex(R"(Overall exposure.*: ([0-9.]+))")))
        << scored.out;
    RecordProperty(unit, level[1].str());
  }
}

TEST_F(Units, SocketIsForTheGroup) {
  systemctl({"start", kBrokerSocket});
  EXPECT_EQ(ok({"stat", "-c", "%a %U %G", "/run/uarena", "/run/uarena/uarena.sock"}),
            "750 root uarena\n660 root uarena\n");
  const RunOutput stranger = machine_->run({"uarena", "daemon", "status"}, kStranger);
  EXPECT_EQ(stranger.exit_code(), 4) << stranger.err;
  EXPECT_EQ(broker("ActiveState"), "inactive");
  EXPECT_THAT(ok({"uarena", "daemon", "status"}, kMember), HasSubstr("uarenad"));
  systemctl({"stop", kBrokerSocket, kBroker});
  EXPECT_NE(machine_->run({"test", "-e", "/run/uarena/uarena.sock"}).exit_code(), 0);
}

}  // namespace
}  // namespace uarena::testing
