// uarenad.service under a real systemd: its beginning, its rights, and its ends.
#include <sys/wait.h>

#include "tests/systemd/machine_fixture.h"

namespace uarena::testing {
namespace {

class BrokerUnit : public InMachine {
 protected:
  void SetUp() override {
    InMachine::SetUp();
    if (machine_ != nullptr) systemctl({"start", kBrokerSocket});
  }
  // Waits until the store holds that many devices, and besides them the ledger, which each broker
  // has. What it held for clients is taken out a moment after they have gone.
  bool stores_devices(int devices) {
    return wait_for_property(kBroker, "NFileDescriptorStore", std::to_string(devices + 1));
  }
  void create(const std::string& arena, Words more = {}) {
    Words words{"uarena", "arena", "create", arena, "--pages", "1000"};
    words.insert(words.end(), more.begin(), more.end());
    ok(words, kMember);
  }
};

TEST_F(BrokerUnit, StartsWithTheFirstClient) {
  EXPECT_EQ(broker("ActiveState"), "inactive");
  EXPECT_THAT(ok({"uarena", "daemon", "status"}, kMember), HasSubstr("clients      1"));
  EXPECT_EQ(broker("SubState"), "running");
  EXPECT_EQ(broker("StatusText"), "serving on /run/uarena/uarena.sock");
  EXPECT_THAT(machine_->log(), HasSubstr("event=daemon.ready"));
}

TEST_F(BrokerUnit, HasNoRightButToSignal) {
  ok({"uarena", "daemon", "status"}, kMember);
  const std::string status = ok({"cat", "/proc/" + broker("MainPID") + "/status"});
  const std::string kill = "0000000000000020";
  for (const std::string set : {"CapPrm:\t", "CapEff:\t", "CapBnd:\t", "CapAmb:\t"})
    EXPECT_THAT(status, HasSubstr(set + kill));
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(status, HasSubstr("Seccomp:\t2"));
  EXPECT_THAT(status, Not(HasSubstr("Uid:\t0")));
  // The soft limit is what the daemon needs already, so that it has nothing to raise.
  EXPECT_THAT(machine_->log(), Not(HasSubstr("level=warning")));
}

TEST_F(BrokerUnit, ServesFaultsOfOtherUsers) {
  create("heap");
  EXPECT_THAT(ok({"toucher", "heap", "write", "7", "4711"}, kMember), HasSubstr("value=4711"));
  EXPECT_THAT(ok({"toucher", "heap", "read", "7"}, kOtherMember), HasSubstr("value=4711"));
  EXPECT_THAT(ok({"subject", "/run/uarena/uarena.sock", "heap", "syscalls"}, kMember),
              HasSubstr("after=4096"));
  EXPECT_THAT(ok({"uarena", "arena", "show", "heap"}, kMember),
              HasSubstr("allocated      2 pages"));
}

// The group may open /dev/userfaultfd (60-uarena.rules), and who may gets its system calls served.
TEST_F(BrokerUnit, ServesSystemCallsOfTheGroup) {
  ASSERT_EQ(machine_->run({"test", "-e", "/dev/userfaultfd"}).exit_code(), 0) << "this kernel's";
  create("heap");
  create("strict", {"--segv-on-fault"});
  const auto subject = [&](const std::string& arena) {
    return machine_->run({"subject", "/run/uarena/uarena.sock", arena, "syscalls"}, kMember);
  };
  EXPECT_EQ(subject("heap").out, "served=1 before=4096 made=0 after=4096\n");
  EXPECT_THAT(machine_->log(), HasSubstr("full=true"));
  EXPECT_THAT(subject("strict").err, HasSubstr("prefault"));
}

TEST_F(BrokerUnit, SystemCallsOfThoseWithoutTheDeviceGetEfault) {
  if (ok({"cat", "/proc/sys/vm/unprivileged_userfaultfd"}) != "0\n")
    GTEST_SKIP() << "userfaultfd(2) gives everyone full ones here";
  for (const Words& closing : {Words{"chmod", "600", "/dev/userfaultfd"},
                               Words{"ln", "-sf", "/dev/null", "/dev/userfaultfd"}}) {
    ok(closing);
    create("heap");
    EXPECT_EQ(ok({"subject", "/run/uarena/uarena.sock", "heap", "syscalls"}, kMember),
              "served=0 before=-14 made=1 after=4096\n");
    ok({"uarena", "arena", "delete", "heap"}, kMember);
  }
  EXPECT_THAT(machine_->log(), Not(HasSubstr("full=true")));
}

TEST_F(BrokerUnit, SignalsOtherUsers) {
  create("strict", {"--segv-on-fault", "--addr", "0x7e9100000000"});
  for (const User user : {kMember, kOtherMember}) {
    const RunOutput caught = machine_->run({"toucher", "--handler", "strict", "read", "5"}, user);
    EXPECT_EQ(caught.exit_code(), 3);
    EXPECT_EQ(caught.out, "segv si_addr=0x7e9100005000 si_code=-5\n");
  }
  const RunOutput died = machine_->run({"toucher", "strict", "read", "5"}, kMember);
  ASSERT_TRUE(WIFSIGNALED(died.status)) << died.out << died.err;
  EXPECT_EQ(WTERMSIG(died.status), SIGSEGV);
}

// Programs are compiled into memory of which no page is ever writable and executable.
TEST_F(BrokerUnit, RunsProgramsWithoutWritableCode) {
  create("heap");
  ok({"uarena", "prog", "load", "/run/machine/build/bpf/demo.bpf.o", "--arena", "heap"}, kMember);
  // 100 nodes, 10 keys, and the context's third word for the answer.
  const std::string ctx = "hex:640000000a0000000000000000000000";
  EXPECT_THAT(ok({"uarena", "-j", "prog", "run", "build", "--ctx-in", ctx}, kMember),
              HasSubstr("\"retval\":0"));
  EXPECT_THAT(ok({"walker", "heap"}, kOtherMember), HasSubstr("list_len=100"));
}

TEST_F(BrokerUnit, ReloadChangesLimits) {
  const std::string file = "/etc/uarenad.toml";  // what is installed is read-only in this machine
  ok({"touch", file});
  machine_->drop_in(kBroker,
                    "[Service]\nExecStart=\nExecStart=/usr/local/bin/uarenad --socket "
                    "/run/uarena/uarena.sock --load-group uarena --config " +
                        file + "\n");
  create("heap");
  const auto reload = [&](const std::string& text, const std::string& answer) {
    ok({"sh", "-c", "printf '" + text + "' > " + file});
    const size_t before = machine_->log().size();
    systemctl({"reload", kBroker});
    EXPECT_NE(machine_->wait_for_log(answer, before), std::string::npos);
  };
  reload("[limits]\\narenas = 1\\n", "event=config.in_force");
  const Words another{"uarena", "arena", "create", "more", "--pages", "1"};
  EXPECT_EQ(machine_->run(another, kMember).exit_code(), 8);
  reload("[limits]\\narenas = none\\n", "uarenad.toml:2: ");
  EXPECT_EQ(machine_->run(another, kMember).exit_code(), 8);
  reload("[limits]\\narenas = 2\\n", "event=config.in_force");
  ok(another, kMember);
}

TEST_F(BrokerUnit, RestartKeepsTheStore) {
  ok({"uarena", "daemon", "status"}, kMember);
  const std::string pid = broker("MainPID");
  EXPECT_TRUE(stores_devices(1));
  systemctl({"restart", kBroker});
  EXPECT_TRUE(stores_devices(1));
  EXPECT_NE(broker("MainPID"), pid);
  ok({"uarena", "daemon", "status"}, kMember);
  systemctl({"stop", kBroker});
  EXPECT_EQ(broker("NFileDescriptorStore"), "0");
  EXPECT_EQ(broker("Result"), "success");
  // The socket is still there, and brings it back.
  ok({"uarena", "daemon", "status"}, kMember);
}

TEST_F(BrokerUnit, ComesBackFromManyKills) {
  constexpr int kKills = 25;  // more than systemd's own limits allow
  for (int i = 0; i < kKills; ++i) {
    ok({"uarena", "daemon", "status"}, kMember);
    systemctl({"kill", "--signal=KILL", "--kill-whom=main", kBroker});
  }
  ok({"uarena", "daemon", "status"}, kMember);
  EXPECT_EQ(broker("NRestarts"), std::to_string(kKills));
  EXPECT_EQ(broker("ActiveState"), "active");
  EXPECT_TRUE(stores_devices(1));  // however often it was opened
  EXPECT_EQ(machine_->property(kBrokerSocket, "ActiveState"), "active");
}

// A broker that can't start must not be tried for ever; and then there is a way back.
TEST_F(BrokerUnit, IsGivenUpWhenNoStartSucceeds) {
  ok({"uarena", "daemon", "status"}, kMember);
  machine_->drop_in(kBroker,
                    "[Unit]\nStartLimitBurst=5\n[Service]\nExecStart=\nExecStart=/bin/false\n");
  systemctl({"kill", "--signal=KILL", "--kill-whom=main", kBroker});
  ASSERT_TRUE(wait_for_state(kBroker, "failed"));
  EXPECT_EQ(broker("NFileDescriptorStore"), "0");
  ok({"rm", "/run/systemd/system/uarenad.service.d/test.conf"});
  systemctl({"daemon-reload"});
  systemctl({"reset-failed", kBroker, kBrokerSocket});
  systemctl({"start", kBrokerSocket});
  ok({"uarena", "daemon", "status"}, kMember);
}

TEST_F(BrokerUnit, StopLeavesClientsOrdinaryMemory) {
  create("heap");
  create("strict", {"--segv-on-fault"});
  auto heap = holder("heap"), strict = holder("strict");
  EXPECT_THAT(ask(*heap, "write 3 33"), HasSubstr("value=33"));
  systemctl({"stop", kBroker});
  EXPECT_EQ(broker("Result"), "success");
  EXPECT_THAT(ask(*heap, "read 3"), HasSubstr("value=33"));
  EXPECT_THAT(ask(*heap, "read 4"), HasSubstr("value=0"));
  EXPECT_THAT(ask(*heap, "write 5 55"), HasSubstr("value=55"));
  EXPECT_THAT(ask(*strict, "read 6"), HasSubstr("value=0"));
  for (ChildProcess* client : {heap.get(), strict.get()}) {
    client->close_stdin();
    EXPECT_EQ(client->wait(), 0);
  }
}

TEST_F(BrokerUnit, WatchdogReplacesOneThatHangs) {
  machine_->drop_in(kBroker, "[Service]\nWatchdogSec=1s\n");
  ok({"uarena", "daemon", "status"}, kMember);
  const std::string pid = broker("MainPID");
  const size_t before = machine_->log().size();
  ok({"kill", "-STOP", pid});
  // Asked while nobody answers; the successor does.
  auto asking = machine_->start({"uarena", "daemon", "status"}, kMember);
  ASSERT_NE(machine_->wait_for_log("event=daemon.ready", before), std::string::npos);
  EXPECT_EQ(asking->wait(), 0);
  EXPECT_NE(broker("MainPID"), pid);
  EXPECT_EQ(broker("NRestarts"), "1");
}

// The lines that say what happened to the devices, and what the broker makes of them.
TEST_F(BrokerUnit, GetsTheDevicesByName) {
  ASSERT_EQ(machine_->run({"test", "-e", "/dev/userfaultfd"}).exit_code(), 0) << "this kernel's";
  ok({"uarena", "daemon", "status"}, kMember);
  EXPECT_THAT(machine_->log(), HasSubstr("event=start.device name=\"userfaultfd\""));
  EXPECT_THAT(machine_->log(), HasSubstr("by the inherited device"));
  EXPECT_THAT(machine_->log(), HasSubstr("cpu_dma_latency=false"));
  EXPECT_TRUE(stores_devices(1));
  // The device node itself is not there for the broker.
  const RunOutput seen = machine_->run(
      {"nsenter", "--target", broker("MainPID"), "--mount", "--", "/bin/ls", "/dev/userfaultfd"});
  EXPECT_NE(seen.exit_code(), 0);
}

TEST_F(BrokerUnit, CpuLatencyIsForThoseWhoAsk) {
  const std::string helper = "/usr/local/libexec/uarena-start devices";
  machine_->drop_in(
      kBroker, "[Service]\nExecStartPre=\nExecStartPre=+" + helper + " --cpu-dma-latency 50\n");
  ok({"uarena", "daemon", "status"}, kMember);
  EXPECT_THAT(machine_->log(), HasSubstr("cpu_dma_latency=true"));
  EXPECT_TRUE(stores_devices(2));
  // And it ends for those who no longer ask.
  machine_->drop_in(kBroker, "[Service]\nExecStartPre=\nExecStartPre=+" + helper + "\n");
  const size_t before = machine_->log().size();
  systemctl({"restart", kBroker});
  EXPECT_NE(machine_->wait_for_log("cpu_dma_latency=false", before), std::string::npos);
  EXPECT_TRUE(stores_devices(1));
}

TEST_F(BrokerUnit, DoesWithoutADevice) {
  ok({"rm", "/dev/userfaultfd"});
  ok({"uarena", "daemon", "status"}, kMember);
  const std::string log = machine_->log();
  EXPECT_THAT(log, HasSubstr("level=warning event=start.without_device name=\"userfaultfd\""));
  EXPECT_THAT(log, HasSubstr("No such file or directory"));
  EXPECT_THAT(log, HasSubstr("userfaultfd=\"user mode only"));
  EXPECT_TRUE(stores_devices(0));
  create("heap");
  EXPECT_THAT(ok({"toucher", "heap", "write", "7", "4711"}, kOtherMember), HasSubstr("value=4711"));
}

}  // namespace
}  // namespace uarena::testing
