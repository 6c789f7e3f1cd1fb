// Starting a keeper's child: this program again, as the side that gets the descriptors.
#include "broker/keeper_child.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "broker/descriptor_limit.h"
#include "broker/fd_store.h"
#include "broker/inherited.h"
#include "broker/notify_message.h"
#include "broker/notify_socket.h"
#include "broker/service_manager.h"

namespace uarena::broker {
namespace {

// Each descriptor is a file with its own name as content.
Fd named_file(const std::string& name) {
  Fd fd(::memfd_create("test", MFD_CLOEXEC));
  EXPECT_EQ(::pwrite(fd.get(), name.data(), name.size(), 0), static_cast<ssize_t>(name.size()));
  return fd;
}

// The child: says on standard error what it does not find as it should be.
int child_side() {
  int wrong = 0;
  const auto expect = [&wrong](bool good, const char* what) {
    if (!good) wrong += std::fprintf(stderr, "the child misses: %s\n", what) > 0;
  };
  die_with_keeper();
  auto all = Inherited::from_environment();
  if (!all) return 1;
  expect(std::to_string(all->names().size()) == std::getenv("TEST_COUNT"), "the number");
  expect(FdStore(*all).max() == 123, "the store");
  for (const NamedFd& named : all->leftovers()) {
    char content[kMaxFdName + 1] = {};
    expect(::pread(named.fd.get(), content, kMaxFdName, 0) > 0 && named.name == content,
           named.name.c_str());
  }
  expect(std::getenv("UARENAD_KEEPER_PID") == nullptr, "no keeper's pid");
  expect(std::getenv("WATCHDOG_PID") == nullptr, "no watchdog's pid");
  expect(std::getenv("WATCHDOG_USEC") == std::string("5"), "the watchdog's time");
  tell_ready("here");
  return wrong == 0 ? 0 : 1;
}

class KeeperChildTest : public ::testing::Test {
 protected:
  KeeperChildTest() : notify_(std::move(*NotifySocket::create())) { raise_descriptor_limit(); }

  // Passes them in this order; true if the child found everything as it should be.
  bool child_is_content(const std::vector<NamedFd>& fds) {
    ChildPlan plan{
        .arguments = {"test", "child"}, .notify_address = notify_.address_fd(), .store_max = 123};
    ::sigemptyset(&plan.signals);
    for (const NamedFd& named : fds) {
      plan.fds.push_back(named.fd.get());
      plan.fd_names += (plan.fd_names.empty() ? "" : ":") + named.name;
    }
    ::setenv("TEST_COUNT", std::to_string(fds.size()).c_str(), 1);
    ::setenv("WATCHDOG_PID", "1", 1);
    ::setenv("WATCHDOG_USEC", "5", 1);
    const auto child = start_child(plan);
    if (!child) return false;
    int status = -1;
    ::waitpid(child->pid, &status, 0);
    const auto told = notify_.receive();
    return status == 0 && told && told->sender == child->pid &&
           parse_notify_untrusted(told->text)->ready && !notify_.receive();
  }

  NotifySocket notify_;
};

TEST_F(KeeperChildTest, NothingToPass) { EXPECT_TRUE(child_is_content({})); }

TEST_F(KeeperChildTest, WhateverNumbersTheyHave) {
  std::mt19937 random(31);
  for (int round = 0; round < 20; ++round) {
    std::vector<NamedFd> fds;
    const size_t count = 1 + random() % 40;
    for (size_t i = 0; i < count; ++i) {
      const std::string name = "n" + std::to_string(i);
      Fd fd = named_file(name);
      // Some far off, some where others belong.
      if (random() % 3 == 0)
        fd.reset(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3 + static_cast<int>(random() % 200)));
      fds.push_back({name, std::move(fd)});
    }
    std::ranges::shuffle(fds, random);
    EXPECT_TRUE(child_is_content(fds)) << round;
  }
}

TEST_F(KeeperChildTest, Thousands) {
  std::vector<NamedFd> fds;
  for (size_t i = 0; i < 5000; ++i) {
    const std::string name = std::to_string(i);
    fds.push_back({name, named_file(name)});
    if (!fds.back().fd) GTEST_SKIP() << "the limit of descriptors is too low: " << i;
  }
  std::ranges::shuffle(fds, std::mt19937(5));
  EXPECT_TRUE(child_is_content(fds));
}

// The longest that all names may be together is what the kernel takes, almost to the byte.
TEST_F(KeeperChildTest, LongestNames) {
  constexpr size_t kMost = kMaxNamesOfStore + kMaxNamesBeside;
  std::vector<NamedFd> fds;
  for (size_t bytes = 0; bytes + kMaxFdName + 1 <= kMost; bytes += kMaxFdName + 1) {
    const std::string name = fmt::format("{:0>255}", bytes);
    fds.push_back({name, named_file(name)});
  }
  EXPECT_TRUE(child_is_content(fds));
  fds.push_back({"one-more", named_file("one-more")});
  EXPECT_TRUE(child_is_content(fds));
  const std::string last(kMaxFdName, 'x');
  fds.push_back({last, named_file(last)});
  EXPECT_FALSE(child_is_content(fds)) << "execve takes no such environment";
}

}  // namespace
}  // namespace uarena::broker

int main(int argc, char** argv) {
  if (argc == 2 && argv[1] == std::string("child")) return uarena::broker::child_side();
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
