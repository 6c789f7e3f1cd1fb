// Timers in the live kernel and here: the same requests in the same order, the same results. When a
// callback has run is waited for in both.
#include <gtest/gtest.h>

#include <chrono>

#include "ipc/base/clock.h"
#include "tests/bpf/contexts.h"
#include "tests/parity/twin.h"

namespace uarena::testing {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr uint64_t kHour = 3'600'000'000'000;
constexpr uint64_t kAbsolute = 1, kCpuPin = 2;
enum Callback : uint64_t { count, repeat, cancel_itself };

// On which map; and how ours runs.
struct Arm {
  std::string map;
  jit::Mode mode;
};

class Timers : public ::testing::TestWithParam<Arm> {
 protected:
  void SetUp() override {
    if (const auto reason = kernel_arena_unavailable()) GTEST_SKIP() << *reason;
    TwinOptions options;
    options.mode = GetParam().mode;
    twin_ = std::make_unique<Twin>("timers", options);
    if (GetParam().map == "on_hash")
      for (const uint64_t key : {0, 1, 2}) ask(TIMER_UPDATE, key);
  }

  timer_ctx ask(timer_operation operation, uint64_t key, uint64_t a = 0, uint64_t b = 0) {
    timer_ctx ctx{operation, key, a, b, 0, 0, 0, 0};
    twin_->run(GetParam().map, ctx);
    return ctx;
  }
  int64_t result(timer_operation operation, uint64_t key, uint64_t a = 0, uint64_t b = 0) {
    return ask(operation, key, a, b).result;
  }
  void arm(uint64_t key, Callback callback, uint64_t ns, uint64_t flags = 0,
           clockid_t clock = CLOCK_MONOTONIC) {
    EXPECT_EQ(result(TIMER_INIT, key, static_cast<uint64_t>(clock)), 0);
    EXPECT_EQ(result(TIMER_SET_CALLBACK, key, callback), 0);
    EXPECT_EQ(result(TIMER_START, key, ns, flags), 0);
  }
  // Until the callbacks have run so often in both; the last look is compared.
  timer_ctx wait_for(uint64_t key, uint64_t fired) {
    const auto limit = steady_clock::now() + seconds(20);
    for (const bool ours : {false, true}) {
      timer_ctx ctx{TIMER_LOOK, key, 0, 0, 0, 0, 0, 0};
      const auto bytes = std::as_bytes(std::span(&ctx, 1));
      while (steady_clock::now() < limit) {
        const RunAnswer seen = ours ? twin_->run_ours(GetParam().map, bytes)
                                    : twin_->run_kernel(GetParam().map, bytes);
        timer_ctx out;
        std::memcpy(&out, seen.context.data(), sizeof out);
        if (out.fired >= fired) break;
        ::sched_yield();
      }
    }
    const timer_ctx seen = ask(TIMER_LOOK, key);
    EXPECT_EQ(seen.fired, fired);
    return seen;
  }

  std::unique_ptr<Twin> twin_;
};

TEST_P(Timers, FiresOnceWithItsKey) {
  arm(2, count, 0);
  EXPECT_EQ(wait_for(2, 1).key_seen, 3u);
  EXPECT_EQ(result(TIMER_CANCEL, 2), 0);
}

TEST_P(Timers, OnEveryClockAtATimeAndOnTheCpu) {
  arm(0, count, clock_ns(CLOCK_MONOTONIC) + 1'000'000, kAbsolute, CLOCK_MONOTONIC);
  arm(1, count, 1'000'000, kCpuPin, CLOCK_REALTIME);
  arm(2, count, clock_ns(CLOCK_BOOTTIME) + 1'000'000, kAbsolute | kCpuPin, CLOCK_BOOTTIME);
  for (const uint64_t key : {0, 1, 2}) wait_for(key, 1);
}

TEST_P(Timers, ATimeThatIsOverIsNow) {
  arm(0, count, 1, kAbsolute);
  wait_for(0, 1);
}

TEST_P(Timers, StartsItselfAgain) {
  arm(1, repeat, 1000);
  EXPECT_EQ(wait_for(1, 3).callback_result, 0);
}

TEST_P(Timers, MayNotCancelItself) {
  arm(1, cancel_itself, 1000);
  EXPECT_EQ(wait_for(1, 1).callback_result, -EDEADLK);
  EXPECT_EQ(result(TIMER_START, 1, 1000), 0);  // and still has its callback
  wait_for(1, 2);
}

TEST_P(Timers, OrderOfTheCalls) {
  EXPECT_EQ(result(TIMER_SET_CALLBACK, 0, count), -EINVAL);
  EXPECT_EQ(result(TIMER_START, 0, 1), -EINVAL);
  EXPECT_EQ(result(TIMER_CANCEL, 0), -EINVAL);
  EXPECT_EQ(result(TIMER_INIT, 0, CLOCK_MONOTONIC), 0);
  EXPECT_EQ(result(TIMER_INIT, 0, CLOCK_MONOTONIC), -EBUSY);
  EXPECT_EQ(result(TIMER_START, 0, 1), -EINVAL);
  EXPECT_EQ(result(TIMER_CANCEL, 0), 0);
  EXPECT_EQ(result(TIMER_SET_CALLBACK, 0, count), 0);
  EXPECT_EQ(result(TIMER_START, 0, kHour), 0);
  EXPECT_EQ(result(TIMER_START, 0, 2 * kHour), 0);
  EXPECT_EQ(result(TIMER_CANCEL, 0), 1);
  EXPECT_EQ(result(TIMER_CANCEL, 0), 0);
  EXPECT_EQ(result(TIMER_START, 0, kHour), -EINVAL);  // the callback went with it
}

TEST_P(Timers, FlagsAndClocks) {
  for (uint64_t flags = 0; flags < 18; ++flags) {
    const int64_t made = result(TIMER_INIT, 0, flags);
    if (made == 0) {
      EXPECT_EQ(result(TIMER_UPDATE, 0), 0);
    }
    const bool known =
        flags == CLOCK_REALTIME || flags == CLOCK_MONOTONIC || flags == CLOCK_BOOTTIME;
    EXPECT_EQ(made, known ? 0 : -EINVAL) << flags;
  }
  EXPECT_EQ(result(TIMER_INIT, 0, uint64_t{1} << 32), -EINVAL);
  EXPECT_EQ(result(TIMER_START, 0, 1, 4), -EINVAL);
}

TEST_P(Timers, GoWithTheirElement) {
  arm(0, count, 20'000'000);
  EXPECT_EQ(result(TIMER_UPDATE, 0), 0);
  EXPECT_EQ(result(TIMER_START, 0, 1), -EINVAL);  // a new one, not initialised
  EXPECT_EQ(result(TIMER_CANCEL, 0), -EINVAL);
  if (GetParam().map == "on_hash") {
    arm(1, count, 20'000'000);
    EXPECT_EQ(result(TIMER_DELETE, 1), 0);
    EXPECT_EQ(result(TIMER_UPDATE, 1), 0);
    EXPECT_EQ(result(TIMER_START, 1, 1), -EINVAL);
  }
  arm(2, count, 40'000'000);  // later than those
  wait_for(2, 1);
  EXPECT_EQ(ask(TIMER_LOOK, 0).fired, 0u);
  if (GetParam().map == "on_hash") {
    EXPECT_EQ(ask(TIMER_LOOK, 1).fired, 0u);
  }
}

TEST_P(Timers, TooFarAwayIsNever) {
  arm(0, count, ~uint64_t{0});
  arm(1, count, ~uint64_t{0}, kAbsolute);
  arm(2, count, 1'000'000);
  wait_for(2, 1);
  for (const uint64_t key : {0, 1}) {
    EXPECT_EQ(ask(TIMER_LOOK, key).fired, 0u);
    EXPECT_EQ(result(TIMER_CANCEL, key), 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Maps, Timers,
                         ::testing::Values(Arm{"on_array", jit::Mode::compile},
                                           Arm{"on_hash", jit::Mode::compile},
                                           Arm{"on_hash", jit::Mode::interpret}),
                         [](const auto& param) {
                           return param.param.map + (param.param.mode == jit::Mode::compile
                                                         ? "_compiled"
                                                         : "_interpreted");
                         });

}  // namespace
}  // namespace uarena::testing
