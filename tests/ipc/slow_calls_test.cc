#include "ipc/base/slow_calls.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <latch>
#include <mutex>
#include <vector>

namespace uarena {
namespace {

using namespace std::chrono_literals;

TEST(SlowCalls, NobodyWaitsForThem) {
  std::latch release(1);
  SlowCalls calls;
  ASSERT_TRUE(calls.start(1, [&] { release.wait(); }));
  EXPECT_EQ(calls.under_way(1), 1u);
  EXPECT_EQ(calls.under_way(2), 0u);
  EXPECT_FALSE(calls.wait(20ms));
  release.count_down();
  EXPECT_TRUE(calls.wait(10s));
  EXPECT_EQ(calls.under_way(1), 0u);
}

TEST(SlowCalls, ThoseOfOneOwnerComeInOrderAndThoseOfAnotherDoNotWait) {
  std::latch release(1), other(1);
  std::mutex lock;
  std::vector<int> order;
  SlowCalls calls;
  ASSERT_TRUE(calls.start(1, [&] { release.wait(); }));
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(calls.start(1, [&, i] {
      const std::lock_guard guard(lock);
      order.push_back(i);
    }));
  }
  ASSERT_TRUE(calls.start(2, [&] { other.count_down(); }));
  other.wait();
  EXPECT_EQ(calls.under_way(1), 101u);
  release.count_down();
  ASSERT_TRUE(calls.wait(10s));
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

// What a call holds may be slow to destroy, so it counts, and goes on the other thread.
TEST(SlowCalls, WhatACallHoldsIsDestroyedThere) {
  std::latch release(1);
  pthread_t destroyed_on{};
  {
    std::shared_ptr<int> held(new int(1), [&](int* p) {
      release.wait();
      destroyed_on = ::pthread_self();
      delete p;
    });
    SlowCalls calls;
    ASSERT_TRUE(calls.start(1, [held = std::move(held)] {}));
    EXPECT_FALSE(calls.wait(20ms));
    release.count_down();
    EXPECT_TRUE(calls.wait(10s));
  }
  EXPECT_FALSE(::pthread_equal(destroyed_on, ::pthread_self()));
}

TEST(SlowCalls, TakeNoSignals) {
  SlowCalls calls;
  sigset_t there;
  ::sigemptyset(&there);
  ASSERT_TRUE(calls.start(1, [&] { ::pthread_sigmask(SIG_SETMASK, nullptr, &there); }));
  ASSERT_TRUE(calls.wait(10s));
  EXPECT_EQ(::sigismember(&there, SIGTERM), 1);
  sigset_t here;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &here);
  EXPECT_EQ(::sigismember(&here, SIGTERM), 0);
}

}  // namespace
}  // namespace uarena
