// uarenad as a service: what it does with descriptors that it was passed, what it tells its manager
// and puts into the store, and its signs of life.
#include <dirent.h>
#include <sys/ptrace.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/service_fixture.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace std::chrono_literals;

constexpr uid_t kNobody = 65534;

class ServiceTest : public ::testing::Test {
 protected:
  ServiceTest() { ::chmod(dir_.path().c_str(), 0777); }
  std::string socket() const { return dir_.path() + "/s"; }
  Words with_store(const char* max = "10") const {
    return {"NOTIFY_SOCKET=" + manager_.address(), std::string("FDSTORE=") + max};
  }
  // Starts a broker with a store, and kills it: what the manager has of it.
  FakeManager::Message left_by_a_predecessor() {
    Service service({"--socket", socket()}, with_store());
    auto listener = manager_.wait_for("FDSTORE=1");
    manager_.wait_for("READY=1");
    EXPECT_EQ(service.stop(SIGKILL), 128 + SIGKILL);
    EXPECT_TRUE(exists(socket()));
    return listener;
  }
  static std::string name_of(const FakeManager::Message& message) {
    const size_t at = message.text.find("FDNAME=") + 7;
    return message.text.substr(at, message.text.find('\n', at) - at);
  }

  TempDir dir_;
  FakeManager manager_;
  const Fd null_{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
};

TEST_F(ServiceTest, SaysWhatItIsDoing) {
  Service service({"--socket", socket()}, {"NOTIFY_SOCKET=" + manager_.address()});
  const auto ready = manager_.next(10s);
  EXPECT_EQ(ready.text, "READY=1\nSTATUS=serving on " + socket());
  EXPECT_EQ(ready.sender, service.pid());
  EXPECT_TRUE(answers(socket()));
  EXPECT_EQ(manager_.next().text, "") << "no store, no watchdog";
  EXPECT_EQ(service.stop(), 0);
  EXPECT_THAT(manager_.next().text, StartsWith("STOPPING=1"));
  EXPECT_EQ(manager_.next().text, "");
}

TEST_F(ServiceTest, AListenerOfTheManagersIsUsedAndLeftInPlace) {
  const Fd listener = listen_at(socket());
  ::chmod(socket().c_str(), 0620);
  RawClient early(socket());  // before there is a broker
  Service service({"--socket", dir_.path() + "/other", "--socket-mode", "666"}, with_store(),
                  {{"listener", &listener}});
  EXPECT_TRUE(early.hello());
  EXPECT_THAT(service.ready_line(), HasSubstr("socket=\"" + socket() + "\""));
  EXPECT_TRUE(answers(socket()));
  EXPECT_FALSE(exists(dir_.path() + "/other"));
  struct stat file{};
  ASSERT_EQ(::stat(socket().c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0620U);
  EXPECT_EQ(service.stop(), 0);
  EXPECT_TRUE(exists(socket()));
  EXPECT_THAT(manager_.next().text, StartsWith("READY=1")) << "it is not put into the store";
  EXPECT_THAT(manager_.next().text, StartsWith("STOPPING=1"));
}

TEST_F(ServiceTest, AListenerNeedsNoOtherPath) {
  const Fd listener = listen_at(socket());
  Service service({}, {"XDG_RUNTIME_DIR="}, {{"listener", &listener}}, kNobody);
  EXPECT_NE(service.ready(), 0) << service.log();
  EXPECT_EQ(service.stop(), 0);
}

TEST_F(ServiceTest, WhatIsNoListenerIsRefused) {
  Service service({"--socket", socket()}, {}, {{"listener", &null_}});
  EXPECT_EQ(service.wait(), 1);
  EXPECT_THAT(service.log(), HasSubstr("uarenad: the inherited descriptor is no socket"));
  Service device({"--socket", socket()}, {}, {{"userfaultfd", &null_}});
  EXPECT_EQ(device.wait(), 1);
  EXPECT_THAT(device.log(), HasSubstr("userfaultfd is not an open /dev/userfaultfd"));
  EXPECT_FALSE(exists(socket()));
}

TEST_F(ServiceTest, DescriptorsThatAreNotThereAreAnError) {
  Service service({"--socket", socket()}, {"LISTEN_FDS=5000"}, {{"x", &null_}});
  EXPECT_EQ(service.wait(), 1);
  EXPECT_THAT(service.log(), HasSubstr("LISTEN_FDS"));
}

TEST_F(ServiceTest, WhatNobodyWantsIsNamedClosedAndTakenOutOfTheStore) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Fd read(ends[0]), write(ends[1]);
  Service service({"--socket", socket()}, with_store(), {{"from the \"future\"", &write}});
  write.reset();
  ASSERT_NE(service.ready(), 0) << service.log();
  EXPECT_THAT(service.log(), HasSubstr("event=daemon.descriptor_not_wanted "
                                       "name=\"from the \\\"future\\\"\""));
  EXPECT_EQ(manager_.wait_for("FDSTOREREMOVE=1").text,
            "FDSTOREREMOVE=1\nFDNAME=from the \"future\"");
  pollfd event{read.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&event, 1, 10'000), 1);
  EXPECT_EQ(event.revents, POLLHUP) << "the last writer is gone";
  EXPECT_EQ(service.stop(), 0);
}

TEST_F(ServiceTest, ItsOwnListenerIsInTheStoreUntilItsEnd) {
  Service service({"--socket", socket()}, with_store());
  const auto put = manager_.next(10s);
  EXPECT_THAT(put.text, StartsWith("FDSTORE=1\nFDNAME=listener-"));
  EXPECT_THAT(put.text, HasSubstr("\nFDPOLL=0"));
  EXPECT_EQ(put.fds.size(), 1U);
  EXPECT_THAT(manager_.next(10s).text, StartsWith("READY=1"));
  EXPECT_EQ(service.stop(), 0);
  EXPECT_THAT(manager_.next().text, StartsWith("STOPPING=1"));
  EXPECT_EQ(manager_.next().text, "FDSTOREREMOVE=1\nFDNAME=" + name_of(put));
  EXPECT_FALSE(exists(socket()));
}

TEST_F(ServiceTest, ASuccessorGoesOnWithItsPredecessorsSocket) {
  const auto kept = left_by_a_predecessor();
  RawClient early(socket());
  Service service({"--socket", socket(), "--socket-mode", "600"}, with_store(),
                  {{name_of(kept), &kept.fds.at(0)}});
  EXPECT_TRUE(early.hello());
  EXPECT_TRUE(answers(socket()));
  struct stat file{};
  ASSERT_EQ(::stat(socket().c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600U) << "what the options say now";
  EXPECT_EQ(service.stop(), 0);
  EXPECT_FALSE(exists(socket()));
  EXPECT_EQ(manager_.wait_for("FDSTOREREMOVE=1").text, "FDSTOREREMOVE=1\nFDNAME=" + name_of(kept));
}

TEST_F(ServiceTest, ASuccessorThatIsToListenElsewhereTakesTheOldSocketAway) {
  const auto kept = left_by_a_predecessor();
  Service service({"--socket", dir_.path() + "/new"}, with_store(),
                  {{name_of(kept), &kept.fds.at(0)}});
  EXPECT_EQ(manager_.next(10s).text, "FDSTOREREMOVE=1\nFDNAME=" + name_of(kept));
  EXPECT_THAT(manager_.next(10s).text, StartsWith("FDSTORE=1"));
  ASSERT_NE(service.ready(), 0);
  EXPECT_FALSE(exists(socket()));
  EXPECT_TRUE(answers(dir_.path() + "/new"));
  EXPECT_EQ(service.stop(), 0);
}

// The name says which file is ours; another one in its place is somebody else's.
TEST_F(ServiceTest, AnotherSocketInThePlaceIsLeftAlone) {
  const auto kept = left_by_a_predecessor();
  ASSERT_EQ(::unlink(socket().c_str()), 0);
  const Fd other = listen_at(socket());
  Service service({"--socket", socket()}, with_store(), {{name_of(kept), &kept.fds.at(0)}});
  EXPECT_EQ(service.wait(), 1);
  EXPECT_THAT(service.log(), HasSubstr("somebody answers"));
  EXPECT_TRUE(exists(socket()));
}

TEST_F(ServiceTest, NamesThatNoPredecessorGaveAreNotBelieved) {
  const auto kept = left_by_a_predecessor();
  for (const std::string name : {"listener-", "listener-1", "listener-1-", "listener-x-1",
                                 "listener-1-2-3", "listener-fffffffffffffffffffff-1"}) {
    Service service({"--socket", socket()}, with_store(), {{name, &kept.fds.at(0)}});
    // The socket is still listening somewhere (here), so the path is taken.
    EXPECT_EQ(service.wait(), 1) << name;
    EXPECT_EQ(manager_.wait_for("FDSTOREREMOVE=1").text, "FDSTOREREMOVE=1\nFDNAME=" + name);
  }
}

TEST_F(ServiceTest, AFullStoreIsNoReasonNotToServe) {
  Service service({"--socket", socket()}, with_store("1"), {{"future", &null_}});
  ASSERT_NE(service.ready(), 0);
  EXPECT_TRUE(answers(socket()));
  EXPECT_EQ(service.stop(), 0);
  EXPECT_FALSE(exists(socket()));
}

TEST_F(ServiceTest, AnInheritedDeviceGivesAnUnprivilegedBrokerFullUserfaultfds) {
  const Fd device(::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
  if (!device) GTEST_SKIP() << "/dev/userfaultfd can't be opened here";
  int unprivileged = 0;
  std::ifstream("/proc/sys/vm/unprivileged_userfaultfd") >> unprivileged;
  if (unprivileged != 0) GTEST_SKIP() << "vm.unprivileged_userfaultfd gives them to everyone";
  {
    Service without({"--socket", socket()}, {}, {}, kNobody);
    EXPECT_THAT(without.ready_line(), HasSubstr("userfaultfd=\"user mode only, missing"));
    EXPECT_EQ(without.stop(), 0);
  }
  Service with({"--socket", socket()}, {}, {{"userfaultfd", &device}}, kNobody);
  const std::string line = with.ready_line();
  EXPECT_THAT(line, HasSubstr("userfaultfd=\"full by the inherited device, missing"));
  EXPECT_THAT(line, HasSubstr(", /dev/userfaultfd"));
  EXPECT_THAT(line, Not(HasSubstr("without")));
  EXPECT_THAT(line, HasSubstr("cpu_dma_latency=false"));
  RawClient client(socket());
  EXPECT_TRUE(client.hello());
  EXPECT_TRUE(client.create("heap", 16)) << "whose kernel view has such a userfaultfd";
  EXPECT_EQ(with.stop(), 0);
}

TEST_F(ServiceTest, CpuDmaLatencyIsKeptOpen) {
  // Open, but without a wish written to it, it changes nothing on this machine.
  const Fd device(::open("/dev/cpu_dma_latency", O_RDWR | O_CLOEXEC));
  if (!device) GTEST_SKIP() << "/dev/cpu_dma_latency can't be opened here";
  Service service({"--socket", socket()}, {}, {{"cpu_dma_latency", &device}});
  EXPECT_THAT(service.ready_line(), HasSubstr("cpu_dma_latency=true"));
  EXPECT_EQ(service.stop(), 0);
}

class WatchdogTest : public ServiceTest {
 protected:
  static constexpr auto kRound = 10ms;  // a third of what the manager allows
  WatchdogTest()
      : service_({"--socket", socket(), "--fault-threads", "2"},
                 {"NOTIFY_SOCKET=" + manager_.address(), "WATCHDOG_USEC=30000"}) {}
  bool signs_of_life_come() {
    for (int i = 0; i < 5; ++i)
      if (manager_.next(10s).text.empty()) return false;
    return true;
  }
  // None in twenty rounds' time, but for the one that was under way.
  bool they_end() {
    while (!manager_.next().text.empty()) {
    }
    return manager_.next(20 * kRound).text.empty() || manager_.next(20 * kRound).text.empty();
  }
  // The tasks of the broker by name.
  pid_t thread_of(const std::string& name) const {
    const std::string tasks = "/proc/" + std::to_string(service_.pid()) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks)) {
      std::string comm;
      std::getline(std::ifstream(task.path() / "comm"), comm);
      if (comm == name) return std::stoi(task.path().filename());
    }
    return 0;
  }

  Service service_;
};

TEST_F(WatchdogTest, SignsOfLifeComeUntilTheEnd) {
  ASSERT_THAT(manager_.next(10s).text, StartsWith("READY=1"));
  EXPECT_EQ(manager_.next(10s).text, "WATCHDOG=1");
  EXPECT_TRUE(signs_of_life_come());
  RawClient client(socket());
  EXPECT_TRUE(client.hello());
  service_.pause();
  EXPECT_TRUE(they_end());
  service_.go_on();
  EXPECT_TRUE(signs_of_life_come());
  EXPECT_EQ(service_.stop(), 0);
  EXPECT_THAT(manager_.wait_for("STOPPING=1").text, StartsWith("STOPPING=1"));
  EXPECT_EQ(manager_.next().text, "");
}

// One thread at a time is held by a tracer; all others run.
TEST_F(WatchdogTest, AnyThreadThatMattersEndsThemWhenItHangs) {
  ASSERT_THAT(manager_.next(10s).text, StartsWith("READY=1"));
  for (const char* name : {"fault/0", "fault/1", "uarenad"}) {
    ASSERT_TRUE(signs_of_life_come()) << name;
    const pid_t thread = thread_of(name);
    ASSERT_NE(thread, 0) << name;
    if (::ptrace(PTRACE_SEIZE, thread, nullptr, nullptr) != 0)
      GTEST_SKIP() << "ptrace is not allowed here: " << std::strerror(errno);
    ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(thread, &status, __WALL), thread);
    EXPECT_TRUE(they_end()) << name;
    ASSERT_EQ(::ptrace(PTRACE_DETACH, thread, nullptr, nullptr), 0);
    EXPECT_TRUE(signs_of_life_come()) << name;
  }
  EXPECT_EQ(service_.stop(), 0);
}

TEST_F(WatchdogTest, ProbesAreNobodysFaults) {
  ASSERT_THAT(manager_.next(10s).text, StartsWith("READY=1"));
  ASSERT_TRUE(signs_of_life_come());
  RawClient client(socket());
  ASSERT_TRUE(client.hello());
  const auto status = client.ask<uarena_status_reply>(UARENA_MSG_STATUS, uarena_empty{});
  ASSERT_TRUE(status);
  EXPECT_EQ(status->body.faults_served, 0U);
  EXPECT_EQ(status->body.fault_p99_ns, 0U);
  EXPECT_EQ(service_.stop(), 0);
}

}  // namespace
}  // namespace uarena::testing
