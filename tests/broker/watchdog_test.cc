// Signs of life come while all fault threads and the loop do their work, and only then.
#include "broker/watchdog.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "tests/uffd/hung_thread.h"

namespace uarena::broker {
namespace {

using namespace std::chrono_literals;
using uffd::testing::HungThread;

class WatchdogTest : public ::testing::Test {
 protected:
  static constexpr auto kInterval = 15ms;  // so a round every 5 ms

  WatchdogTest() : faults_(std::move(*uffd::FaultLoop::create(3))) { make(); }
  ~WatchdogTest() override { stop(); }

  void make() {
    watchdog_ =
        std::move(*Watchdog::create(loop_, *faults_, kInterval, [this] { ++signs_of_life_; }));
  }
  void run() {
    thread_ = std::thread([this] { loop_.run(); });
  }
  void stop() {
    loop_.stop();
    if (thread_.joinable()) thread_.join();
  }
  // `count` more than now.
  bool come(uint64_t count = 3) {
    const uint64_t wanted = signs_of_life_ + count;
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (signs_of_life_ < wanted && std::chrono::steady_clock::now() < end)
      std::this_thread::yield();
    return signs_of_life_ >= wanted;
  }
  // None in twenty rounds' time, but for the one that was under way.
  bool have_ended() {
    const uint64_t before = signs_of_life_;
    std::this_thread::sleep_for(20 * kInterval / 3);
    return signs_of_life_ <= before + 1;
  }

  ipc::EventLoop loop_;
  std::unique_ptr<uffd::FaultLoop> faults_;
  std::atomic<uint64_t> signs_of_life_{0};
  std::unique_ptr<Watchdog> watchdog_;
  std::thread thread_;
};

TEST_F(WatchdogTest, SignsOfLifeCome) {
  run();
  EXPECT_TRUE(come(20));
  EXPECT_EQ(faults_->summary().counts.all(), 0U);
}

TEST_F(WatchdogTest, AnyFaultThreadThatHangsEndsThem) {
  run();
  for (size_t thread = 0; thread < faults_->threads(); ++thread) {
    ASSERT_TRUE(come());
    {
      HungThread hung(*faults_, thread);
      EXPECT_TRUE(have_ended()) << thread;
    }
    EXPECT_TRUE(come()) << "it was only slow";
  }
}

TEST_F(WatchdogTest, ALoopThatHangsEndsThem) {
  run();
  ASSERT_TRUE(come());
  std::atomic<bool> go_on{false};
  loop_.post([&] {
    while (!go_on) std::this_thread::yield();
  });
  EXPECT_TRUE(have_ended());
  go_on = true;
  EXPECT_TRUE(come());
}

TEST_F(WatchdogTest, CanBeTakenDownWhileAThreadHangs) {
  run();
  ASSERT_TRUE(come());
  HungThread hung(*faults_, 2);
  EXPECT_TRUE(have_ended());
  stop();
  watchdog_.reset();  // returns
  EXPECT_EQ(faults_->clients(), 1U) << "only the one that hangs is left";
}

TEST_F(WatchdogTest, LeavesNothingBehindInTheLoop) {
  for (int i = 0; i < 50; ++i) {
    run();
    EXPECT_TRUE(come(1));
    stop();
    watchdog_.reset();
    make();
  }
}

TEST(WatchdogInterval, IsTheEnvironments) {
  EXPECT_FALSE(Watchdog::wanted_interval());
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  EXPECT_EQ(Watchdog::wanted_interval(), 3s);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  EXPECT_EQ(Watchdog::wanted_interval(), 3s);
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_FALSE(Watchdog::wanted_interval()) << "another's";
  ::unsetenv("WATCHDOG_PID");
  for (const char* nonsense : {"", "0", "-5", "soon", "1x"}) {
    ::setenv("WATCHDOG_USEC", nonsense, 1);
    EXPECT_FALSE(Watchdog::wanted_interval()) << nonsense;
  }
  ::setenv("WATCHDOG_USEC", "18446744073709551614", 1);
  EXPECT_EQ(Watchdog::wanted_interval(), 24h * 365);
  ::unsetenv("WATCHDOG_USEC");
}

}  // namespace
}  // namespace uarena::broker
