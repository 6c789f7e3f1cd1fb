// A broker under a real systemd that dies, hangs or is restarted, and clients of other users that
// go on.
#include <random>

#include "tests/systemd/machine_fixture.h"

namespace uarena::testing {
namespace {

using ::testing::AllOf;
using ::testing::StartsWith;

class SurvivalUnit : public InMachine {
 protected:
  void SetUp() override {
    InMachine::SetUp();
    if (machine_ == nullptr) return;
    systemctl({"start", kBrokerSocket});
    ok({"uarena", "daemon", "status"}, kMember);
  }
  // False: there was none to kill at that moment, the next had not been started.
  bool try_to_kill() {
    return machine_->run({"systemctl", "kill", "--signal=KILL", "--kill-whom=main", kBroker})
               .exit_code() == 0;
  }
  void kill_broker() { EXPECT_TRUE(try_to_kill()); }
  void create(const std::string& arena, Words more = {}) {
    Words words{"uarena", "arena", "create", arena, "--pages", "1000"};
    words.insert(words.end(), more.begin(), more.end());
    ok(words, kMember);
  }
  // Works all the time and knows what must come of it (tests/clients/survivor.cc).
  std::unique_ptr<ChildProcess> survivor(const std::string& name, User user) {
    auto client = machine_->start({"/run/machine/build/tests/survivor", "/run/uarena/uarena.sock",
                                   name, "/run/machine/build/bpf"},
                                  user);
    EXPECT_EQ(client->read_line(), "working");
    return client;
  }
};

TEST_F(SurvivalUnit, AHundredKillsLoseNothing) {
  std::vector<std::unique_ptr<ChildProcess>> clients;
  clients.push_back(survivor("one", kMember));
  clients.push_back(survivor("two", kOtherMember));
  const auto all_say = [&](const std::string& order) {
    for (auto& client : clients) client->write_line(order);
    for (auto& client : clients)
      ASSERT_THAT(client->read_line(std::chrono::seconds(30)), StartsWith("good "));
  };
  std::mt19937 random(std::random_device{}());
  for (int killed = 0; killed < 100;) {
    // Most die at work, some while they take over.
    if (random() % 5 != 0) ok({"uarena", "daemon", "status"}, kMember);
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::microseconds(random() % 20'000);
    while (std::chrono::steady_clock::now() < end) ::sched_yield();
    if (!try_to_kill()) continue;
    if (++killed % 20 == 0) {
      all_say("check");
      if (HasFatalFailure()) return;
    }
  }
  all_say("end");
  for (auto& client : clients) {
    client->read_line();
    client->read_line();
    EXPECT_EQ(client->wait(), 0);
  }
  EXPECT_THAT(machine_->log(), Not(HasSubstr("takeover.lost")));
  EXPECT_EQ(broker("ActiveState"), "active");
}

// The successor signals clients that it has never seen attach.
TEST_F(SurvivalUnit, SegvIsDeliveredAfterADeath) {
  create("strict", {"--segv-on-fault", "--addr", "0x7e9100000000"});
  auto client = machine_->start({"toucher", "--handler", "strict", "--hold"}, kOtherMember);
  EXPECT_THAT(client->read_line(), StartsWith("attached"));
  kill_broker();
  client->write_line("read 5");
  EXPECT_EQ(client->read_line(), "segv si_addr=0x7e9100005000 si_code=-5");
}

TEST_F(SurvivalUnit, ARestartKeepsArenasAndClients) {
  create("heap");
  auto client = holder("heap");
  EXPECT_THAT(ask(*client, "write 3 33"), HasSubstr("value=33"));
  const std::string pid = broker("MainPID");
  systemctl({"restart", kBroker});
  EXPECT_NE(broker("MainPID"), pid);
  EXPECT_THAT(ask(*client, "read 3"), HasSubstr("value=33"));
  EXPECT_THAT(ask(*client, "write 4 44"), HasSubstr("value=44"));
  EXPECT_THAT(ok({"uarena", "arena", "show", "heap"}, kMember),
              AllOf(HasSubstr("allocated      2 pages"), HasSubstr("clients        1")));
  EXPECT_EQ(broker("Result"), "success");
}

TEST_F(SurvivalUnit, TheWatchdogsVictimHasASuccessor) {
  machine_->drop_in(kBroker, "[Service]\nWatchdogSec=500ms\n");
  systemctl({"restart", kBroker});
  create("heap");
  auto client = holder("heap");
  const std::string pid = broker("MainPID");
  systemctl({"kill", "--signal=STOP", "--kill-whom=main", kBroker});
  // Waits in its fault for a broker that hangs, and is served by the next.
  EXPECT_THAT(ask(*client, "write 7 77"), HasSubstr("value=77"));
  EXPECT_NE(broker("MainPID"), pid);
}

}  // namespace
}  // namespace uarena::testing
