// A fault that the process raises itself, on a chosen fault thread.
#include "uffd/fault_probe.h"

#include <gtest/gtest.h>

#include <future>

#include "tests/uffd/hung_thread.h"

namespace uarena::uffd::testing {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<FaultLoop> loop_of(unsigned threads) {
  return std::move(*FaultLoop::create(threads));
}

TEST(FaultProbe, IsAnsweredEachTimeByItsThread) {
  auto loop = loop_of(2);
  for (size_t thread : {0U, 1U}) {
    auto probe = FaultProbe::create(*loop, thread);
    ASSERT_TRUE(probe) << probe.error().message;
    const uint64_t before = loop->turns();
    for (int i = 0; i < 100; ++i) (*probe)->touch();
    EXPECT_GE(loop->turns() - before, 100U) << "each touch is a fault";
  }
  EXPECT_EQ(loop->clients(), 0U);
  EXPECT_EQ(loop->summary().counts.all(), 0U) << "no client's";
  EXPECT_EQ(loop->summary().latency.count, 0U);
}

TEST(FaultProbe, WaitsForAThreadThatHangsAndOnlyForThat) {
  auto loop = loop_of(2);
  auto stuck = FaultProbe::create(*loop, 1), fine = FaultProbe::create(*loop, 0);
  ASSERT_TRUE(stuck && fine);
  HungThread hung(*loop, 1);
  auto touched = std::async(std::launch::async, [&] { (*stuck)->touch(); });
  (*fine)->touch();
  EXPECT_EQ(touched.wait_for(50ms), std::future_status::timeout);
  hung.release();
  EXPECT_EQ(touched.wait_for(10s), std::future_status::ready);
}

TEST(FaultProbe, GivingUpFreesWhoWaits) {
  auto loop = loop_of(1);
  auto probe = FaultProbe::create(*loop, 0);
  ASSERT_TRUE(probe);
  HungThread hung(*loop, 0);
  auto touched = std::async(std::launch::async, [&] { (*probe)->touch(); });
  EXPECT_EQ(touched.wait_for(50ms), std::future_status::timeout);
  (*probe)->give_up();
  EXPECT_EQ(touched.wait_for(10s), std::future_status::ready);
  (*probe)->touch();  // asks nobody
  probe->reset();     // and waits for nobody
  EXPECT_EQ(loop->clients(), 1U);
}

}  // namespace
}  // namespace uarena::uffd::testing
