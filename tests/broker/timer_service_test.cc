// Timers and the life of their programs: what is unloaded does not fire, what fires and loops for
// ever is ended, and nobody waits for a timer at the end.
#include "broker/timer_service.h"

#include <gtest/gtest.h>

#include <thread>

#include "broker/program_registry.h"
#include "jit/engine.h"
#include "tests/bpf/contexts.h"
#include "tests/support/bpf_objects.h"

namespace uarena::broker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::read_bpf_object;

constexpr uint64_t kHour = 3'600'000'000'000;

class TimerServiceTest : public ::testing::Test {
 protected:
  TimerServiceTest() {
    EXPECT_TRUE(jit::install_fault_handler());
    EXPECT_TRUE(timers_.start_thread());
    load("timers");
  }
  void load(const std::string& name) {
    LoadRequest request;
    request.object_name = name;
    auto loaded = programs_.load(read_bpf_object(name), request, account_);
    ASSERT_TRUE(loaded) << loaded.error().error.message;
    object_ = loaded->object;
    all_ = std::move(loaded->programs);
    asking_ = all_[0];
  }
  ~TimerServiceTest() override { timers_.stop(milliseconds::max()); }

  timer_ctx ask(timer_operation operation, uint64_t a = 0, uint64_t b = 0) {
    timer_ctx ctx{operation, 1, a, b, 0, 0, 0, 0};
    EXPECT_TRUE(run_program(*asking_, std::as_writable_bytes(std::span(&ctx, 1)), 1, never_));
    return ctx;
  }
  void arm(uint64_t callback, uint64_t ns) {
    EXPECT_EQ(ask(TIMER_INIT, CLOCK_MONOTONIC).result, 0);
    EXPECT_EQ(ask(TIMER_SET_CALLBACK, callback).result, 0);
    EXPECT_EQ(ask(TIMER_START, ns).result, 0);
  }

  Account account_{1000};
  ArenaRegistry arenas_;
  TimerService timers_;
  ProgramRegistry programs_{arenas_, nullptr, &timers_};
  std::shared_ptr<ObjectState> object_;
  std::vector<std::shared_ptr<const Program>> all_;
  std::shared_ptr<const Program> asking_;
  std::atomic<bool> never_{false};
};

// The callback is `on_array`'s; the other program of the object still runs.
TEST_F(TimerServiceTest, AnUnloadedProgramDoesNotFire) {
  arm(0, 500'000'000);
  EXPECT_TRUE(programs_.unload(asking_->id));
  const auto limit = steady_clock::now() + seconds(20);
  while (timers_.armed() != 0 && steady_clock::now() < limit) std::this_thread::yield();
  EXPECT_EQ(timers_.armed(), 0u);
  EXPECT_TRUE(timers_.stop(seconds(20)));
  EXPECT_EQ(ask(TIMER_LOOK).fired, 0u);
  EXPECT_EQ(ask(TIMER_START, 1).result, -EINVAL);
}

TEST_F(TimerServiceTest, NoneIsMadeWhenTheObjectIsUnloaded) {
  EXPECT_EQ(ask(TIMER_INIT, CLOCK_MONOTONIC).result, 0);
  for (const auto& one : all_) EXPECT_TRUE(programs_.unload(one->id));
  EXPECT_EQ(ask(TIMER_SET_CALLBACK, 0).result, -EPERM);
  EXPECT_EQ(ask(TIMER_UPDATE).result, 0);
  EXPECT_EQ(ask(TIMER_INIT, CLOCK_MONOTONIC).result, -EPERM);
}

// A timer is no way around the limit of its owner's CPU time: it fires when there is some again.
TEST_F(TimerServiceTest, ItIsPostponedWhileItsOwnerHasNoCpuTime) {
  Amounts amounts;
  amounts.fill(kUnlimited);
  amounts[static_cast<size_t>(Resource::cpu_ms)] = 0;
  account_.set_limits(amounts);
  arm(0, 1);
  const auto limit = steady_clock::now() + seconds(20);
  while (account_.denied(Resource::cpu_ms) < 2 && steady_clock::now() < limit)
    std::this_thread::yield();
  EXPECT_EQ(ask(TIMER_LOOK).fired, 0u);
  amounts.fill(kUnlimited);
  account_.set_limits(amounts);
  while (ask(TIMER_LOOK).fired == 0 && steady_clock::now() < limit) std::this_thread::yield();
  EXPECT_EQ(ask(TIMER_LOOK).fired, 1u);
}

// What is armed holds neither the program nor its object.
TEST_F(TimerServiceTest, AnArmedTimerHoldsNothing) {
  arm(0, kHour);
  const std::weak_ptr<ObjectState> object = object_;
  for (const auto& one : all_) EXPECT_TRUE(programs_.unload(one->id));
  all_.clear();
  asking_.reset();
  object_.reset();
  EXPECT_TRUE(object.expired());
}

TEST_F(TimerServiceTest, ACallbackThatLoopsForEverEndsWithTheService) {
  load("timer_loops");
  arm(0, 0);
  const auto limit = steady_clock::now() + seconds(20);
  while (ask(TIMER_LOOK).fired == 0 && steady_clock::now() < limit) std::this_thread::yield();
  EXPECT_EQ(ask(TIMER_LOOK).fired, 1u);
  EXPECT_TRUE(timers_.stop(seconds(20)));
  EXPECT_EQ(asking_->ended_cnt, 1u);
}

// A cancel waits for a callback that runs, and may be waiting when its own time is over.
TEST_F(TimerServiceTest, CancelWaitsForTheCallback) {
  load("timer_loops");
  arm(1, 0);
  const auto limit = steady_clock::now() + seconds(20);
  while (ask(TIMER_LOOK).fired == 0 && steady_clock::now() < limit) std::this_thread::yield();
  EXPECT_EQ(ask(TIMER_CANCEL).result, 0);
  EXPECT_EQ(ask(TIMER_LOOK).fired, 2u);  // it is behind its loop
}

}  // namespace
}  // namespace uarena::broker
