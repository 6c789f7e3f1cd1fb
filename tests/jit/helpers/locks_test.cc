// Locks between threads, in runs that end in the middle, and where the kernel would refuse.
#include "jit/helpers/locks.h"

#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <thread>

#include "jit/catalogue.h"
#include "jit/fault_safe.h"
#include "jit/helpers/functions.h"
#include "jit/turns.h"
#include "tests/jit/exec/program_builder.h"

namespace uarena::jit {
namespace {

using std::chrono::steady_clock;

uint64_t address(uint32_t* word) { return reinterpret_cast<uint64_t>(word); }

int64_t res_lock(uint64_t lock, RunContext* run) {
  return static_cast<int64_t>(helpers::res_spin_lock(lock, 0, 0, 0, 0, run));
}
void res_unlock(uint64_t lock, RunContext* run) { helpers::res_spin_unlock(lock, 0, 0, 0, 0, run); }

TEST(SpinLock, LetsOneInAtATime) {
  uint32_t word = 0;
  uint64_t counter = 0;
  constexpr uint64_t kTimes = 20000;
  {
    std::vector<std::jthread> threads;
    for (int n = 0; n < 4; ++n)
      threads.emplace_back([&] {
        RunContext run;
        for (uint64_t k = 0; k < kTimes; ++k) {
          helpers::spin_lock(address(&word), 0, 0, 0, 0, &run);
          ++counter;
          helpers::spin_unlock(address(&word), 0, 0, 0, 0, &run);
        }
        EXPECT_EQ(run.held.count(), 0U);
      });
  }
  EXPECT_EQ(counter, 4 * kTimes);
  EXPECT_EQ(word, 0U);
}

// A sleeper is woken: the holder lets go only when somebody is asleep.
TEST(SpinLock, WakesWhoSleeps) {
  uint32_t word = 0;
  RunContext holder;
  helpers::spin_lock(address(&word), 0, 0, 0, 0, &holder);
  std::jthread waits([&] {
    RunContext run;
    helpers::spin_lock(address(&word), 0, 0, 0, 0, &run);
    EXPECT_FALSE(run.ended);
    helpers::spin_unlock(address(&word), 0, 0, 0, 0, &run);
  });
  const auto end = steady_clock::now() + std::chrono::seconds(10);
  while (std::atomic_ref(word) != 2 && steady_clock::now() < end) std::this_thread::yield();
  helpers::spin_unlock(address(&word), 0, 0, 0, 0, &holder);
}

class Locking : public testing::TestWithParam<Mode> {};

// A run that is ended in a loop under a lock gives it back; one that waits for it ends at the call.
TEST_P(Locking, EndsWithTheRun) {
  uint32_t word = 0;
  const std::vector<const FunctionDesc*> functions = {offered_helpers().at(BPF_FUNC_spin_lock)};
  auto fixed = FixedProgramTestPeer::make(test::assemble_or_die(fmt::format("r1 = {} ll\n"
                                                                            "call kfunc#0\n"
                                                                            "again:\n"
                                                                            "goto again\n",
                                                                            address(&word))),
                                          nullptr, functions);
  FixedProgramTestPeer::count_at(&fixed, 3);
  const auto program = executable(std::move(fixed), GetParam());
  RunContext first;
  first.limit_ns = 20'000'000;
  program->run({}, first);
  EXPECT_EQ(first.ended_at, 3U);
  EXPECT_EQ(word, 0U);

  word = 1;
  RunContext second;
  second.limit_ns = 20'000'000;
  program->run({}, second);
  EXPECT_TRUE(second.ended);
  EXPECT_EQ(second.ended_at, 2U);
  EXPECT_NE(word, 0U);  // still another's
}

INSTANTIATE_TEST_SUITE_P(Executors, Locking, testing::Values(Mode::interpret, Mode::compile),
                         [](const auto& param) {
                           return param.param == Mode::compile ? "Compiler" : "Interpreter";
                         });

TEST(ResSpinLock, KnowsItsOwnAndGivesUpOnOthers) {
  uint32_t words[2] = {};
  RunContext run;
  EXPECT_EQ(res_lock(address(&words[0]), &run), 0);
  EXPECT_EQ(res_lock(address(&words[1]), &run), 0);
  EXPECT_EQ(res_lock(address(&words[0]), &run), -EDEADLK);
  RunContext other;
  const auto start = steady_clock::now();
  EXPECT_EQ(res_lock(address(&words[1]), &other), -ETIMEDOUT);
  EXPECT_GE(steady_clock::now() - start, std::chrono::milliseconds(250));
  EXPECT_EQ(other.held.count(), 0U);
  res_unlock(address(&words[0]), &run);  // in any order
  EXPECT_EQ(res_lock(address(&words[0]), &other), 0);
  res_unlock(address(&words[1]), &run);
  other.held.release_all(&other);
  EXPECT_EQ(words[0], 0U);
  EXPECT_EQ(words[1], 0U);
}

// Two that hold one each and want the other's: one at least is told, long before the time is over,
// and where only one is, the other gets what it wants.
TEST(ResSpinLock, TwoThatWaitForEachOtherAreADeadlock) {
  for (int round = 0; round < 50; ++round) {
    std::array<uint32_t, 2> words = {};
    std::array<int64_t, 2> answers = {};
    std::barrier<> both(2);
    const auto start = steady_clock::now();
    {
      std::vector<std::jthread> threads;
      for (const size_t mine : {0, 1})
        threads.emplace_back([&, mine] {
          RunContext run;
          EXPECT_EQ(res_lock(address(&words[mine]), &run), 0);
          both.arrive_and_wait();
          answers[mine] = res_lock(address(&words[1 - mine]), &run);
          run.held.release_all(&run);
        });
    }
    EXPECT_EQ(std::min(answers[0], answers[1]), -EDEADLK);
    EXPECT_TRUE(std::max(answers[0], answers[1]) == 0 ||
                std::max(answers[0], answers[1]) == -EDEADLK)
        << answers[0] << " " << answers[1];
    EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(5));
    EXPECT_EQ(words, (std::array<uint32_t, 2>{}));
  }
}

// Who waits for one that waits for nobody is no part of a cycle.
TEST(ResSpinLock, AChainIsNoDeadlock) {
  std::array<uint32_t, 2> words = {};
  RunContext first, second;
  EXPECT_EQ(res_lock(address(&words[0]), &first), 0);
  EXPECT_EQ(res_lock(address(&words[1]), &second), 0);
  EXPECT_EQ(res_lock(address(&words[0]), &second), -ETIMEDOUT);
  second.held.release_all(&second);
  EXPECT_EQ(res_lock(address(&words[1]), &first), 0);
  first.held.release_all(&first);
}

TEST(ResSpinLock, LetsOneInAtATime) {
  uint32_t word = 0;
  uint64_t counter = 0;
  std::atomic<uint64_t> taken{0};
  {
    std::vector<std::jthread> threads;
    for (int n = 0; n < 4; ++n)
      threads.emplace_back([&] {
        RunContext run;
        for (int k = 0; k < 5000; ++k) {
          if (res_lock(address(&word), &run) != 0) continue;
          ++counter;
          ++taken;
          res_unlock(address(&word), &run);
        }
      });
  }
  EXPECT_EQ(counter, taken);
  EXPECT_GT(counter, 0U);
}

TEST(ResSpinLock, TooManyAreTooMany) {
  std::array<uint32_t, Held::kMost> words{};
  RunContext run;
  for (size_t n = 0; n + 1 < words.size(); ++n) ASSERT_EQ(res_lock(address(&words[n]), &run), 0);
  EXPECT_EQ(res_lock(address(&words.back()), &run), -ENOMEM);
  run.held.release_all(&run);
  EXPECT_EQ(std::ranges::count(words, 0U), static_cast<std::ptrdiff_t>(words.size()));
}

}  // namespace
}  // namespace uarena::jit
