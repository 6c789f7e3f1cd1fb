#include "broker/near_caller.h"

#include <gtest/gtest.h>

#include <climits>
#include <vector>

namespace uarena::broker {
namespace {

// Each test has a process of its own (ctest), so its affinity is nobody else's.
cpu_set_t allowed() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
  return set;
}

std::vector<int> cpus() {
  std::vector<int> found;
  const cpu_set_t set = allowed();
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(static_cast<size_t>(cpu), &set)) found.push_back(cpu);
  return found;
}

void stay_on(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<size_t>(cpu), &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
}

TEST(NearCaller, WaitsWhereTheCallerRan) {
  NearCaller near;
  const cpu_set_t before = allowed();
  for (const int cpu : cpus()) {
    near.wait_near_untrusted(cpu);
    EXPECT_EQ(::sched_getcpu(), cpu);
    near.done();
    const cpu_set_t after = allowed();
    EXPECT_TRUE(CPU_EQUAL(&after, &before));
  }
}

TEST(NearCaller, StaysForACallerOfWhomNothingTrueIsKnown) {
  NearCaller near;
  const cpu_set_t before = allowed();
  for (const int cpu : {-1, -2, INT_MIN, INT_MAX, CPU_SETSIZE, CPU_SETSIZE - 1}) {
    near.wait_near_untrusted(cpu);
    const cpu_set_t waiting = allowed();
    EXPECT_TRUE(CPU_EQUAL(&waiting, &before)) << cpu;
    near.done();
  }
}

TEST(NearCaller, GoesNowhereThatItMayNotGo) {
  const std::vector<int> all = cpus();
  if (all.size() < 2) GTEST_SKIP() << "needs two CPUs";
  stay_on(all[0]);
  NearCaller near;
  near.wait_near_untrusted(all[1]);
  EXPECT_EQ(::sched_getcpu(), all[0]);
  near.done();
  EXPECT_EQ(cpus(), std::vector{all[0]});
}

// A caller that is always elsewhere: few moves, then none for a long time, then another try.
TEST(NearCaller, GivesUpForAWhile) {
  const std::vector<int> all = cpus();
  if (all.size() < 2) GTEST_SKIP() << "needs two CPUs";
  NearCaller near;
  const cpu_set_t before = allowed();
  int moves = 0;
  for (int request = 0; request < 1000; ++request) {
    near.wait_near_untrusted(::sched_getcpu() == all[0] ? all[1] : all[0]);
    const cpu_set_t waiting = allowed();
    moves += CPU_EQUAL(&waiting, &before) ? 0 : 1;
    near.done();
  }
  EXPECT_GT(moves, 4);
  EXPECT_LT(moves, 40);
}

}  // namespace
}  // namespace uarena::broker
