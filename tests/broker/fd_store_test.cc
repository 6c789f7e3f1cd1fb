// What the store says to a service manager, read from a real datagram socket.
#include "broker/fd_store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "tests/support/fake_manager.h"

namespace uarena::broker {
namespace {

// NOTIFY_SOCKET and FDSTORE speak of it as long as it is there.
class FakeManager : public testing::FakeManager {
 public:
  explicit FakeManager(const char* store_max = "4") {
    ::setenv("NOTIFY_SOCKET", address().c_str(), 1);
    ::setenv("FDSTORE", store_max, 1);
  }
  ~FakeManager() {
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("FDSTORE");
  }
};

Fd memory() { return Fd(::memfd_create("test", MFD_CLOEXEC)); }

bool same_file(const Fd& a, const Fd& b) {
  const char byte = 'x';
  char seen = 0;
  return ::pwrite(a.get(), &byte, 1, 0) == 1 && ::pread(b.get(), &seen, 1, 0) == 1 && seen == byte;
}

TEST(FdStore, PutIsOneDatagramThatIsThereAtOnce) {
  FakeManager manager;
  FdStore store{Inherited()};
  ASSERT_TRUE(store.available());
  EXPECT_EQ(store.max(), 4U);
  const Fd fd = memory();
  ASSERT_TRUE(store.put("arena-1", fd.get()));
  const auto put = manager.next();
  EXPECT_EQ(put.text, "FDSTORE=1\nFDNAME=arena-1\nFDPOLL=0");
  ASSERT_EQ(put.fds.size(), 1U);
  EXPECT_TRUE(same_file(fd, put.fds[0]));
  EXPECT_EQ(store.held(), 1U);
  ASSERT_TRUE(store.remove("arena-1"));
  EXPECT_EQ(manager.next().text, "FDSTOREREMOVE=1\nFDNAME=arena-1");
  EXPECT_EQ(store.held(), 0U);
  EXPECT_EQ(manager.next().text, "");
}

TEST(FdStore, ASecondPutReplaces) {
  FakeManager manager;
  FdStore store{Inherited()};
  const Fd first = memory(), second = memory();
  ASSERT_TRUE(store.put("state", first.get()));
  ASSERT_TRUE(store.put("state", second.get()));
  manager.next();
  EXPECT_EQ(manager.next().text, "FDSTOREREMOVE=1\nFDNAME=state");
  EXPECT_TRUE(same_file(second, manager.next().fds.at(0)));
  EXPECT_EQ(store.held(), 1U);
}

TEST(FdStore, WhatIsNotThereNeedsNoRemoving) {
  FakeManager manager;
  FdStore store{Inherited()};
  EXPECT_TRUE(store.remove("nothing"));
  EXPECT_EQ(manager.next().text, "");
}

// A put waits for room in the manager's queue, whatever signals come meanwhile.
TEST(FdStore, SignalsDoNotEndAPut) {
  static std::atomic<int> signals;
  struct sigaction action{}, before{};
  action.sa_handler = [](int) { ++signals; };  // no SA_RESTART
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  constexpr int kPuts = 1000;  // more than a queue holds
  FakeManager manager("1000");
  FdStore store{Inherited()};
  const Fd fd = memory();
  std::atomic<int> failed{0}, done{0};
  std::thread putting([&] {
    for (int i = 0; i < kPuts; ++i, ++done)
      if (!store.put(std::to_string(i), fd.get())) ++failed;
  });
  while (signals < 1000) {
    ::pthread_kill(putting.native_handle(), SIGUSR1);
    std::this_thread::yield();
  }
  EXPECT_LT(done, kPuts) << "it waits";
  for (int i = 0; i < kPuts && !::testing::Test::HasFailure(); ++i) {
    const auto put = manager.next(std::chrono::seconds(10));
    EXPECT_EQ(put.text, "FDSTORE=1\nFDNAME=" + std::to_string(i) + "\nFDPOLL=0");
  }
  manager.go_away();
  putting.join();
  EXPECT_EQ(failed, 0);
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST(FdStore, FullMeansFull) {
  FakeManager manager("2");
  FdStore store{Inherited()};
  const Fd fd = memory();
  ASSERT_TRUE(store.put("a", fd.get()));
  ASSERT_TRUE(store.put("b", fd.get()));
  ASSERT_TRUE(store.put("b", fd.get())) << "replacing needs no room";
  const auto refused = store.put("c", fd.get());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ENOSPC);
  EXPECT_EQ(store.held(), 2U);
  ASSERT_TRUE(store.remove("a"));
  EXPECT_TRUE(store.put("c", fd.get()));
}

// A successor's environment has no room for more (named_fd.h).
TEST(FdStore, NamesAreCountedToo) {
  FakeManager manager("100000");
  FdStore store{Inherited()};
  const Fd fd = memory();
  const auto name = [](size_t n) { return fmt::format("{:0>255}", n); };
  size_t stored = 0;
  while (store.put(name(stored), fd.get())) {
    ++stored;
    manager.next();
  }
  EXPECT_EQ(stored, kMaxNamesOfStore / 256);
  EXPECT_EQ(store.put(name(stored), fd.get()).error().code, ENOSPC);
  EXPECT_TRUE(store.remove(name(0)));
  EXPECT_TRUE(store.put(name(stored), fd.get()));
}

TEST(FdStore, WhatWasInheritedIsInIt) {
  FakeManager manager("3");
  std::vector<NamedFd> fds;
  for (const char* name : {"listener", "arena-1", "twice", "twice"})
    fds.push_back({name, memory()});
  Inherited inherited(std::move(fds));
  FdStore store(inherited);
  EXPECT_EQ(store.held(), 3U) << "all but the manager's own socket";
  EXPECT_EQ(store.put("more", memory().get()).error().code, ENOSPC);
  ASSERT_TRUE(store.remove("twice"));
  EXPECT_EQ(store.held(), 1U);
  EXPECT_EQ(manager.next().text, "FDSTOREREMOVE=1\nFDNAME=twice");
}

TEST(FdStore, NamesHaveRules) {
  FakeManager manager;
  FdStore store{Inherited()};
  const Fd fd = memory();
  for (const std::string& bad :
       {std::string(), std::string("a:b"), std::string("a\nFDSTORE=1"), std::string(256, 'n'),
        std::string("\x7f"), std::string("ä"), std::string(1, '\0')})
    EXPECT_EQ(store.put(bad, fd.get()).error().code, EINVAL) << bad;
  EXPECT_EQ(manager.next().text, "");
  EXPECT_TRUE(store.put(std::string(255, 'n'), fd.get()));
  EXPECT_TRUE(store.put("a b=~", fd.get()));
}

TEST(FdStore, WithoutAStoreNothingIsSaid) {
  const Fd fd = memory();
  for (const char* max : {"", "0", "-1", "3x", " 3", "99999999999999999999999"}) {
    FakeManager manager(max);
    FdStore store{Inherited()};
    EXPECT_FALSE(store.available()) << max;
    EXPECT_TRUE(store.put("a", fd.get()));
    EXPECT_TRUE(store.put("a", fd.get()));
    EXPECT_TRUE(store.remove("a"));
    EXPECT_EQ(manager.next().text, "");
    EXPECT_EQ(store.held(), 0U);
  }
  ::setenv("FDSTORE", "5", 1);
  EXPECT_FALSE(FdStore{Inherited()}.available()) << "nobody listens";
  ::unsetenv("FDSTORE");
  EXPECT_TRUE(FdStore().put("a", fd.get()));
}

TEST(FdStore, AManagerThatIsGoneIsAnError) {
  FakeManager manager;
  FdStore store{Inherited()};
  const Fd fd = memory();
  ASSERT_TRUE(store.put("a", fd.get()));
  manager.go_away();
  const auto put = store.put("b", fd.get());
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, ECONNREFUSED) << put.error().message;
  EXPECT_FALSE(store.remove("a"));
  EXPECT_EQ(store.held(), 1U);
  const auto closed = store.put("c", -1);
  EXPECT_FALSE(closed);
}

TEST(FdStore, ManyThreads) {
  FakeManager manager("1000");
  FdStore store{Inherited()};
  const Fd fd = memory();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const auto name = fmt::format("{}-{}", t, i);
        EXPECT_TRUE(store.put(name, fd.get()));
        if (i % 2 != 0) {
          EXPECT_TRUE(store.remove(name));
        }
      }
    });
  // The queue is short: without a reader the threads would wait.
  size_t puts = 0, removes = 0;
  while (puts + removes < 4 * 75) {
    const auto message = manager.next();
    if (message.text.empty()) std::this_thread::yield();
    puts += message.fds.size();
    removes += message.text.starts_with("FDSTOREREMOVE=1");
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store.held(), 100U);
  EXPECT_EQ(puts, 200U);
}

}  // namespace
}  // namespace uarena::broker
