// Descriptors that a parent passed: each case is a process of its own, which gets them at 3, 4, 5…
#include "broker/inherited.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <functional>

namespace uarena::broker {
namespace {

using Names = std::vector<std::string>;

Fd memory(const char* content = "") {
  Fd fd(::memfd_create("test", MFD_CLOEXEC));
  EXPECT_GE(::pwrite(fd.get(), content, std::strlen(content), 0), 0);
  return fd;
}

std::string content_of(const Fd& fd) {
  char bytes[16] = {};
  return ::pread(fd.get(), bytes, sizeof bytes - 1, 0) < 0 ? "?" : bytes;
}

Fd listening(int type = SOCK_SEQPACKET, int backlog = 1) {
  Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;  // and the kernel chooses an abstract address
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)), 0);
  if (backlog > 0) {
    EXPECT_EQ(::listen(fd.get(), backlog), 0);
  }
  return fd;
}

struct Passed {
  std::vector<const Fd*> fds;
  std::string names;
  std::string count;  // otherwise their number
  pid_t pid = 0;      // otherwise the child's
};

// Runs `body` in a child that was passed these.
void in_child(const Passed& passed, const std::function<void()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    // Out of the way first, then to their places; what the test program had open there goes.
    std::vector<int> copies;
    for (const Fd* fd : passed.fds) copies.push_back(::fcntl(fd->get(), F_DUPFD_CLOEXEC, 100));
    ::close_range(3, 50, 0);
    for (size_t i = 0; i < copies.size(); ++i) ::dup2(copies[i], 3 + static_cast<int>(i));
    ::close_range(51, ~0U, 0);
    const auto count = passed.count.empty() ? std::to_string(copies.size()) : passed.count;
    ::setenv("LISTEN_PID", std::to_string(passed.pid != 0 ? passed.pid : ::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", count.c_str(), 1);
    if (!passed.names.empty()) ::setenv("LISTEN_FDNAMES", passed.names.c_str(), 1);
    body();
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

TEST(Inherited, NothingWasPassed) {
  auto none = Inherited::from_environment();
  ASSERT_TRUE(none);
  EXPECT_EQ(none->names(), Names{});
  EXPECT_FALSE(none->take("listener"));
  EXPECT_TRUE(none->take_prefixed("").empty());
}

TEST(Inherited, GivesOutByNameOnce) {
  const Fd a = memory("a"), b = memory("b"), c = memory("c"), d = memory("d");
  in_child({{&a, &b, &c, &d}, "arena-1:state:arena-2:state"}, [] {
    auto all = Inherited::from_environment();
    ASSERT_TRUE(all) << all.error().message;
    EXPECT_EQ(all->names(), (Names{"arena-1", "state", "arena-2", "state"}));
    for (int fd = 3; fd < 7; ++fd) EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
    for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"})
      EXPECT_EQ(std::getenv(variable), nullptr);

    EXPECT_EQ(content_of(*all->take("state")), "b");
    const auto arenas = all->take_prefixed("arena-");
    ASSERT_EQ(arenas.size(), 2U);
    EXPECT_EQ(arenas[0].name, "arena-1");
    EXPECT_EQ(content_of(arenas[0].fd), "a");
    EXPECT_EQ(content_of(arenas[1].fd), "c");
    EXPECT_FALSE(all->take("arena-1"));
    EXPECT_TRUE(all->take_prefixed("arena-").empty());
    {
      const auto left = all->leftovers();
      ASSERT_EQ(left.size(), 1U);
      EXPECT_EQ(left[0].name, "state");
      EXPECT_EQ(content_of(left[0].fd), "d");
    }
    EXPECT_EQ(::fcntl(6, F_GETFD), -1) << "closed with the leftovers";
    EXPECT_EQ(all->names(), Names{});
    EXPECT_TRUE(Inherited::from_environment()->names().empty()) << "only once";
  });
}

TEST(Inherited, WhatIsMeantForAnotherProcessIsNotOurs) {
  const Fd a = memory();
  in_child({{&a}, "listener", "", ::getpid()}, [] {
    EXPECT_TRUE(Inherited::from_environment()->names().empty());
    EXPECT_EQ(std::getenv("LISTEN_FDS"), nullptr);
    EXPECT_GE(::fcntl(3, F_GETFD), 0) << "and is left alone";
  });
}

TEST(Inherited, NonsenseIsAnError) {
  const Fd a = memory(), b = memory();
  for (const char* count : {"3", "0", "-1", "many", "2147483647", "99999999999999999999", "2x"})
    in_child({{&a, &b}, "", count}, [&] {
      const auto all = Inherited::from_environment();
      ASSERT_FALSE(all) << count;
      EXPECT_NE(all.error().message.find("LISTEN_FDS"), std::string::npos);
      EXPECT_EQ(std::getenv("LISTEN_FDS"), nullptr);
    });
  for (const char* names : {"one", "one:two:three"})
    in_child({{&a, &b}, names}, [&] { EXPECT_FALSE(Inherited::from_environment()) << names; });
}

TEST(Inherited, NamesMayBeMissing) {
  const Fd a = memory();
  in_child({{&a}, ""}, [] {
    const auto all = Inherited::from_environment();
    ASSERT_TRUE(all) << all.error().message;
    EXPECT_EQ(all->names(), Names{"unknown"});
  });
}

Inherited one(const char* name, Fd fd) {
  std::vector<NamedFd> fds;
  fds.push_back({name, std::move(fd)});
  return Inherited(std::move(fds));
}

TEST(InheritedListener, IsChecked) {
  EXPECT_FALSE(*Inherited().take_listener()) << "none is no error";
  const auto code = [](Fd fd) {
    return one("listener", std::move(fd)).take_listener().error().code;
  };
  EXPECT_EQ(code(memory()), ENOTSOCK);
  EXPECT_EQ(code(listening(SOCK_STREAM)), EINVAL);
  EXPECT_EQ(code(listening(SOCK_SEQPACKET, 0)), EINVAL) << "does not listen";
  const Fd inet(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(code(inet.dup()), EINVAL);
  auto good = one("listener", listening()).take_listener();
  ASSERT_TRUE(good);
  EXPECT_TRUE(*good);
}

TEST(InheritedDevice, IsKnownByItsNumber) {
  const auto code = [](const char* name, Fd fd) {
    auto taken = one(name, std::move(fd)).take_device(name);
    return taken ? 0 : taken.error().code;
  };
  const auto open = [](const char* path) { return Fd(::open(path, O_RDWR | O_CLOEXEC)); };
  EXPECT_FALSE(*Inherited().take_device("userfaultfd"));
  EXPECT_EQ(code("userfaultfd", memory()), ENODEV);
  EXPECT_EQ(code("userfaultfd", open("/dev/null")), ENODEV);
  EXPECT_EQ(code("userfaultfd", listening()), ENODEV);
  Fd device = open("/dev/userfaultfd");
  if (!device) GTEST_SKIP() << "/dev/userfaultfd can't be opened here";
  EXPECT_EQ(code("cpu_dma_latency", device.dup()), ENODEV) << "a misc device, but another one";
  EXPECT_EQ(code("userfaultfd", std::move(device)), 0);
}

}  // namespace
}  // namespace uarena::broker
