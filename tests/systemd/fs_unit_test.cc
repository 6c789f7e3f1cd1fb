// uarenafs.service under a real systemd: a mount that everyone sees, made by a service that can't.
#include "tests/systemd/machine_fixture.h"

namespace uarena::testing {
namespace {

class FsUnit : public InMachine {
 protected:
  void SetUp() override {
    InMachine::SetUp();
    if (machine_ == nullptr) return;
    ASSERT_EQ(machine_->run({"test", "-e", "/dev/fuse"}).exit_code(), 0) << "this kernel's";
    systemctl({"start", kBrokerSocket});
    ok({"uarena", "arena", "create", "heap", "--pages", "1000"}, kMember);
  }
  // How many file systems are mounted there.
  int mounts() {
    const std::string all = ok({"cat", "/proc/1/mountinfo"});
    int count = 0;
    for (size_t at = 0; (at = all.find(" /run/uarena/fs ", at)) != std::string::npos; ++at) ++count;
    return count;
  }
  std::string top() { return ok({"find", "/run/uarena/fs", "-maxdepth", "2"}, kMember); }
};

TEST_F(FsUnit, ShowsArenasToTheGroup) {
  systemctl({"start", kFs});
  EXPECT_EQ(mounts(), 1);
  EXPECT_THAT(machine_->log(), HasSubstr("event=fs.ready mount=\"inherited\" socket="));
  EXPECT_THAT(top(), HasSubstr("heap"));
  EXPECT_NE(machine_->run({"ls", "/run/uarena/fs"}, kStranger).exit_code(), 0);
  const std::string pid = machine_->property(kFs, "MainPID");
  EXPECT_THAT(ok({"cat", "/proc/" + pid + "/status"}), HasSubstr("CapEff:\t0000000000000000"));
  systemctl({"stop", kFs});
  EXPECT_EQ(mounts(), 0);
  EXPECT_EQ(top(), "/run/uarena/fs\n");
  EXPECT_EQ(machine_->property(kFs, "Result"), "success");
}

TEST_F(FsUnit, MountsAnewAfterACrash) {
  systemctl({"start", kFs});
  for (int crashes = 1; crashes <= 3; ++crashes) {
    const size_t before = machine_->log().size();
    systemctl({"kill", "--signal=KILL", "--kill-whom=main", kFs});
    ASSERT_NE(machine_->wait_for_log("event=fs.ready", before), std::string::npos);
    EXPECT_EQ(mounts(), 1);
    EXPECT_THAT(top(), HasSubstr("heap"));
    EXPECT_EQ(machine_->property(kFs, "NFileDescriptorStore"), "1");
  }
  systemctl({"stop", kFs});
  EXPECT_EQ(mounts(), 0);
}

// What a crash of everything can leave: a mount whose server is gone for good.
TEST_F(FsUnit, RemovesADeadMount) {
  machine_->drop_in(kFs, "[Service]\nRestart=no\nExecStopPost=\n");
  systemctl({"start", kFs});
  systemctl({"kill", "--signal=KILL", "--kill-whom=main", kFs});
  ASSERT_TRUE(wait_for_state(kFs, "failed"));
  EXPECT_EQ(machine_->property(kFs, "NFileDescriptorStore"), "0");
  EXPECT_THAT(machine_->run({"ls", "/run/uarena/fs"}).err, HasSubstr("not connected"));
  EXPECT_EQ(mounts(), 1);
  systemctl({"start", kFs});
  EXPECT_EQ(mounts(), 1);
  EXPECT_THAT(top(), HasSubstr("heap"));
}

TEST_F(FsUnit, EndsWhenSomebodyUnmounts) {
  systemctl({"start", kFs});
  const size_t before = machine_->log().size();
  ok({"umount", "/run/uarena/fs"});
  ASSERT_NE(machine_->wait_for_log("event=fs.stopped", before), std::string::npos);
  EXPECT_EQ(mounts(), 0);
}

TEST_F(FsUnit, SaysWhyItCantMount) {
  ok({"rm", "/dev/fuse"});
  EXPECT_NE(machine_->run({"systemctl", "start", kFs}).exit_code(), 0);
  EXPECT_THAT(machine_->log(),
              HasSubstr("uarena-start: cannot open /dev/fuse: No such file or directory\n"));
  EXPECT_EQ(mounts(), 0);
}

}  // namespace
}  // namespace uarena::testing
