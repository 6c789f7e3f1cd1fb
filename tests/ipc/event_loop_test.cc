// The loop with real descriptors, timers, threads and signals.
#include "ipc/event_loop.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <thread>
#include <vector>

#include "tests/ipc/ipc_testing.h"
#include "tests/ipc/loop_testing.h"

namespace uarena::ipc {
namespace {

using namespace std::chrono_literals;
using testing::socket_pair;

class EventLoopTest : public testing::LoopTest {};

TEST_F(EventLoopTest, PostedWorkRunsOnTheLoopInOrder) {
  std::vector<int> order;
  std::thread other([&] {
    for (int i = 0; i < 3; ++i) loop_.post([&order, i] { order.push_back(i); });
    loop_.post([this] { loop_.stop(); });
  });
  run();
  other.join();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
}

TEST_F(EventLoopTest, TimersFireInTimeOrderAndOnce) {
  std::vector<int> order;
  const auto late = loop_.call_after(20ms, [&] {
    order.push_back(2);
    loop_.stop();
  });
  const auto early = loop_.call_at(EventLoop::Clock::now() + 1ms, [&] { order.push_back(1); });
  run();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST_F(EventLoopTest, AResetTimerDoesNotFireEvenWhenDue) {
  EventLoop::Timer second;
  // Both are due in the same turn; the first one takes the second away.
  const auto first = loop_.call_after(0ms, [&] { second.reset(); });
  second = loop_.call_after(0ms, [] { FAIL(); });
  const auto end = loop_.call_after(20ms, [this] { loop_.stop(); });
  run();
}

TEST_F(EventLoopTest, AWatchCallsUntilTheDescriptorIsDrained) {
  auto [a, b] = socket_pair();
  for (int i = 0; i < 3; ++i) ASSERT_EQ(::send(a.get(), "x", 1, 0), 1);
  int calls = 0;
  const auto watch = loop_.watch(b.get(), EventLoop::Readiness::read, [&, s = b.get()] {
    char byte;
    EXPECT_EQ(::recv(s, &byte, 1, MSG_DONTWAIT), 1);
    if (++calls == 3) loop_.stop();
  });
  ASSERT_TRUE(watch);
  run();
  EXPECT_EQ(calls, 3);
}

TEST_F(EventLoopTest, OneBusyDescriptorLeavesOthersTheirTurn) {
  auto [a, b] = socket_pair();
  auto [c, d] = socket_pair();
  ASSERT_EQ(::send(a.get(), "x", 1, 0), 1);  // never read: always ready
  int busy = 0;
  const auto first = loop_.watch(b.get(), EventLoop::Readiness::read, [&, s = c.get()] {
    if (++busy == 10) {
      EXPECT_EQ(::send(s, "y", 1, 0), 1);
    }
    ASSERT_LT(busy, 1000);
  });
  const auto second = loop_.watch(d.get(), EventLoop::Readiness::read, [this] { loop_.stop(); });
  ASSERT_TRUE(first && second);
  run();
  EXPECT_GE(busy, 10);
}

TEST_F(EventLoopTest, AWatchMayResetItselfAndLeavesTheDescriptorOpen) {
  auto [a, b] = socket_pair();
  ASSERT_EQ(::send(a.get(), "x", 1, 0), 1);
  EventLoop::Watch watch;
  EventLoop::Timer end;
  watch = std::move(*loop_.watch(b.get(), EventLoop::Readiness::read, [&] {
    EXPECT_TRUE(watch);
    watch.reset();
    end = loop_.call_after(5ms, [this] { loop_.stop(); });
  }));
  run();
  char byte;
  EXPECT_EQ(::recv(b.get(), &byte, 1, MSG_DONTWAIT), 1);
}

TEST_F(EventLoopTest, AWatchSeesRoomToWriteAndHangUp) {
  auto [a, b] = socket_pair();
  int events = 0;
  const auto writable = loop_.watch(a.get(), EventLoop::Readiness::write, [&] {
    if (events++ == 0) b.reset();
  });
  const Fd other = a.dup();
  const auto hangup =
      loop_.watch(other.get(), EventLoop::Readiness::read, [this] { loop_.stop(); });
  run();
  EXPECT_GT(events, 0);
}

TEST_F(EventLoopTest, WhatCannotBeWatchedIsAnError) {
  const auto watch = loop_.watch(-1, EventLoop::Readiness::read, [] {});
  ASSERT_FALSE(watch);
  EXPECT_EQ(watch.error().code, EBADF);
}

TEST_F(EventLoopTest, SignalsComeAsCallbacks) {
  std::vector<int> seen;
  loop_.on_signals({SIGHUP, SIGTERM}, [&](int number) {
    seen.push_back(number);
    if (number == SIGTERM) return loop_.stop();
    ::raise(SIGTERM);
  });
  loop_.post([] { ::raise(SIGHUP); });
  run();
  EXPECT_EQ(seen, (std::vector<int>{SIGHUP, SIGTERM}));
}

}  // namespace
}  // namespace uarena::ipc
