// uarenad --keeper: brokers die, the keeper and the socket stay.
#include <atomic>
#include <fstream>
#include <thread>

#include "tests/integration/service_fixture.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Keeper : public ::testing::Test {
 protected:
  std::string socket() const { return dir_.path() + "/s"; }
  Words arguments() const { return {"--socket", socket(), "--keeper"}; }

  TempDir dir_;
};

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++n;
  return n;
}

std::string comm_of(pid_t pid) {
  std::string name;
  std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), name);
  return name;
}

TEST_F(Keeper, BrokersDieAndTheSocketStays) {
  Service keeper(arguments());
  pid_t broker = keeper.ready();
  ASSERT_NE(broker, 0) << keeper.log();
  EXPECT_NE(broker, keeper.pid());
  EXPECT_EQ(comm_of(broker), "uarenad");

  // Clients come all the time. A broker may die while it speaks with one, but each can connect.
  std::atomic<bool> enough{false};
  std::atomic<int> served{0}, cut_off{0}, not_connected{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 2; ++i)
    clients.emplace_back([&] {
      while (!enough) {
        std::optional<RawClient> client;
        try {
          client.emplace(socket());
        } catch (const std::runtime_error&) {
          ++not_connected;
          continue;
        }
        try {
          client->hello() ? ++served : ++cut_off;
        } catch (const std::runtime_error&) {
          ++cut_off;
        }
      }
    });
  for (int i = 0; i < 20; ++i) {
    const int before = served;
    Watched(broker).kill();
    broker = keeper.ready();
    ASSERT_NE(broker, 0) << keeper.log();
    for (int turns = 0; served == before && turns < 100'000; ++turns) std::this_thread::yield();
  }
  enough = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(not_connected, 0);
  EXPECT_GT(served, 20);
  EXPECT_LE(cut_off, 20 * 2);
  EXPECT_TRUE(answers(socket()));
  EXPECT_EQ(keeper.stop(), 0) << keeper.log();
  EXPECT_FALSE(exists(socket()));
  EXPECT_EQ(count(keeper.log(), "event=keeper.broker_died"), 20U);
  EXPECT_EQ(count(keeper.log(), "event=keeper.broker_started"), 21U);
  // The first begins with nothing, all others with the listening socket, the ledger, and the
  // clients of that moment.
  EXPECT_EQ(count(keeper.log(), " kept=0\n"), 1U);
  EXPECT_EQ(count(keeper.log(), " kept=1\n"), 0U);
  EXPECT_THAT(keeper.log(), HasSubstr("by=\"signal 9\""));
}

TEST_F(Keeper, WhoConnectsWhileThereIsNoBrokerWaitsForTheNext) {
  Service keeper(arguments());
  const pid_t broker = keeper.ready();
  ASSERT_NE(broker, 0);
  // A stopped keeper starts no broker before the client has come.
  keeper.pause();
  const Watched watched(broker);
  watched.kill();
  ASSERT_TRUE(watched.has_ended());
  RawClient client(socket());
  keeper.go_on();
  EXPECT_TRUE(client.hello());
  EXPECT_EQ(keeper.stop(), 0);
}

TEST_F(Keeper, SignalsEndBothAndRemoveTheSocket) {
  for (const int signal : {SIGTERM, SIGINT}) {
    Service keeper(arguments());
    const pid_t broker = keeper.ready();
    ASSERT_NE(broker, 0);
    const Watched watched(broker);
    EXPECT_EQ(keeper.stop(signal), 0);
    EXPECT_TRUE(watched.has_ended(0)) << "before the keeper";
    EXPECT_FALSE(exists(socket()));
    EXPECT_THAT(keeper.log(), HasSubstr("event=daemon.stopping signal=" + std::to_string(signal)));
    EXPECT_THAT(keeper.log(), HasSubstr("event=daemon.stopped"));
    EXPECT_THAT(keeper.log(), Not(HasSubstr("broker_died")));
  }
}

// A successor removes what a predecessor has bound.
TEST_F(Keeper, SuccessorRemovesTheSocketAtItsEnd) {
  Service keeper(arguments());
  Watched(keeper.ready()).kill();
  ASSERT_NE(keeper.ready(), 0);
  EXPECT_TRUE(exists(socket()));
  EXPECT_EQ(keeper.stop(), 0);
  EXPECT_FALSE(exists(socket()));
}

TEST_F(Keeper, ASocketFileThatSomebodyRemovedIsMadeAnew) {
  Service keeper(arguments());
  pid_t broker = keeper.ready();
  ASSERT_EQ(::unlink(socket().c_str()), 0);
  Watched(broker).kill();
  broker = keeper.ready();
  ASSERT_NE(broker, 0);
  EXPECT_TRUE(answers(socket()));
  EXPECT_THAT(keeper.log(), HasSubstr("event=daemon.listener_dropped"));
  Watched(broker).kill();
  ASSERT_NE(keeper.ready(), 0);
  EXPECT_TRUE(answers(socket()));
  EXPECT_EQ(keeper.stop(), 0);
  EXPECT_FALSE(exists(socket()));
}

TEST_F(Keeper, ABrokerThatEndsByItselfEndsTheKeeper) {
  Service keeper(arguments());
  const pid_t broker = keeper.ready();
  ASSERT_NE(broker, 0);
  ::kill(broker, SIGTERM);
  EXPECT_EQ(keeper.wait(), 0);
  EXPECT_FALSE(exists(socket()));
}

TEST_F(Keeper, BrokersThatDoNotComeUpAreGivenUp) {
  std::ofstream(socket()) << "no socket";
  Service keeper(arguments());
  EXPECT_EQ(keeper.wait(), 1);
  EXPECT_EQ(count(keeper.log(), "event=keeper.broker_started"), 5U) << keeper.log();
  EXPECT_EQ(count(keeper.log(), "is not a socket"), 5U);
  EXPECT_THAT(keeper.log(), HasSubstr("\nuarenad: keeper: the broker died 5 times in a row before "
                                      "it was ready, the last time by exit status 1\n"));
  EXPECT_TRUE(exists(socket())) << "which is not ours";
}

TEST_F(Keeper, AKilledKeeperLeavesNoBroker) {
  for (int i = 0; i < 5; ++i) {
    Service keeper(arguments());
    const pid_t broker = keeper.ready();
    ASSERT_NE(broker, 0) << "the stale socket of the one before is replaced";
    const Watched watched(broker);
    EXPECT_EQ(keeper.stop(SIGKILL), 128 + SIGKILL);
    EXPECT_TRUE(watched.has_ended());
  }
}

TEST_F(Keeper, UsageErrorsAreToldOnce) {
  Service keeper({"--keeper", "--socket", socket(), "--fault-threads", "0"});
  EXPECT_EQ(keeper.wait(), 2);
  EXPECT_EQ(count(keeper.log(), "\n"), 1U) << keeper.log();
}

TEST_F(Keeper, PassesOnWhatItInherited) {
  const Fd listener = listen_at(socket());
  const Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  Service keeper({"--keeper", "--socket", dir_.path() + "/other"}, {},
                 {{"strange", &null}, {"listener", &listener}});
  const Watched first(keeper.ready());
  EXPECT_TRUE(answers(socket()));
  first.kill();
  ASSERT_NE(keeper.ready(), 0) << keeper.log();
  EXPECT_TRUE(answers(socket()));
  EXPECT_FALSE(exists(dir_.path() + "/other"));
  EXPECT_EQ(keeper.stop(), 0);
  EXPECT_TRUE(exists(socket())) << "the manager's file";
  EXPECT_EQ(count(keeper.log(), "event=daemon.descriptor_not_wanted name=\"strange\""), 2U);
  EXPECT_EQ(count(keeper.log(), " kept=0"), 1U);
  EXPECT_THAT(keeper.log(), Not(HasSubstr("name=strange")));
}

TEST_F(Keeper, TellsItsOwnManager) {
  FakeManager manager;
  Service keeper(arguments(), {"NOTIFY_SOCKET=" + manager.address(), "WATCHDOG_USEC=60000"});
  const pid_t broker = keeper.ready();
  auto ready = manager.wait_for("READY=1");
  EXPECT_EQ(ready.text, "READY=1\nSTATUS=serving on " + socket() + "\n");
  EXPECT_EQ(ready.sender, keeper.pid());
  EXPECT_EQ(manager.wait_for("WATCHDOG=1").sender, keeper.pid());
  Watched(broker).kill();
  EXPECT_THAT(manager.wait_for("STATUS=the broker died").text, HasSubstr("by signal 9"));
  EXPECT_EQ(manager.wait_for("READY=1").sender, keeper.pid());
  ASSERT_NE(keeper.ready(), 0);
  keeper.process().kill(SIGTERM);
  const auto stopping = manager.wait_for("STOPPING=1");
  EXPECT_EQ(stopping.sender, keeper.pid());
  EXPECT_TRUE(stopping.fds.empty());
  EXPECT_EQ(keeper.wait(), 0);
}

// A process that has the keeper's address (which only a broker gets) but is not its broker.
TEST_F(Keeper, HearsNobodyButItsBroker) {
  Service keeper(arguments());
  const pid_t broker = keeper.ready();
  ASSERT_NE(broker, 0);
  std::ifstream file("/proc/" + std::to_string(broker) + "/environ");
  const std::string environment{std::istreambuf_iterator<char>(file), {}};
  const size_t at = environment.find("NOTIFY_SOCKET=/proc/self/fd/");
  ASSERT_NE(at, environment.npos);
  const std::string number = environment.c_str() + at + 28;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ("/proc/" + std::to_string(broker) + "/fd/" + number).copy(address.sun_path, 107);
  Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const char forged[] = "STOPPING=1";
  EXPECT_EQ(::sendto(socket.get(), forged, sizeof forged, 0, reinterpret_cast<sockaddr*>(&address),
                     sizeof address),
            static_cast<ssize_t>(sizeof forged));
  EXPECT_THAT(keeper.line_with("event=keeper.notification_refused"),
              HasSubstr("pid=" + std::to_string(::getpid())));
  EXPECT_EQ(keeper.stop(), 0);
}

}  // namespace
}  // namespace uarena::testing
