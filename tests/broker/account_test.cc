// Charges: what is asked for is counted, and given back exactly once.
#include "broker/account.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace uarena::broker {
namespace {

TEST(Account, ChargeCountsUntilItGoes) {
  Account account(7);
  EXPECT_EQ(account.uid(), 7U);
  {
    const Charge pages = account.charge(Resource::pages, 5).value();
    const Charge arenas = account.charge(Resource::arenas, 1).value();
    EXPECT_EQ(pages.amount(), 5U);
    EXPECT_EQ(account.used(Resource::pages), 5U);
    EXPECT_EQ(account.used(Resource::arenas), 1U);
    EXPECT_EQ(account.used(Resource::programs), 0U);
  }
  EXPECT_EQ(account.used(Resource::pages), 0U);
  EXPECT_EQ(account.used(Resource::arenas), 0U);
}

TEST(Account, ChargeGrowsAndShrinks) {
  Account account(0);
  Charge charge = account.charge(Resource::pages, 0).value();
  ASSERT_TRUE(charge.grow(10));
  charge.shrink(4);
  EXPECT_EQ(charge.amount(), 6U);
  EXPECT_EQ(account.used(Resource::pages), 6U);
}

TEST(Account, MovedChargeIsGivenBackOnce) {
  Account account(0);
  Charge first = account.charge(Resource::connections, 2).value();
  {
    const Charge second = std::move(first);
    EXPECT_EQ(account.used(Resource::connections), 2U);
  }
  EXPECT_EQ(account.used(Resource::connections), 0U);
  first = account.charge(Resource::connections, 3).value();
  EXPECT_EQ(account.used(Resource::connections), 3U);
}

TEST(Account, GivingBackTooMuchIsOurBug) {
  Account account(0);
  Charge charge = account.charge(Resource::pages, 1).value();
  EXPECT_DEATH(charge.shrink(2), "giving back 2 of 1 pages");
}

TEST(Account, ThreadsCountTogether) {
  Account account(0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      Charge charge = account.charge(Resource::pages, 0).value();
      for (int n = 0; n < 10'000; ++n) {
        if (!charge.grow(3)) return;
        charge.shrink(2);
      }
      charge.shrink(charge.amount() - 1);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(account.used(Resource::pages), 0U);
}

Amounts limited(Resource resource, uint64_t amount) {
  Amounts amounts;
  amounts.fill(kUnlimited);
  amounts[static_cast<size_t>(resource)] = amount;
  return amounts;
}

TEST(Account, BeyondTheLimitNothingIsCharged) {
  Account account(1000);
  account.set_limits(limited(Resource::pages, 10));
  Charge charge = account.charge(Resource::pages, 7).value();
  const auto refused = account.charge(Resource::pages, 4);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EDQUOT);
  EXPECT_EQ(refused.error().why, Why::quota);
  EXPECT_EQ(refused.error().message,
            "uid 1000 may have 10 pages: it has 7, and 4 more were asked for");
  EXPECT_FALSE(charge.grow(UINT64_MAX));
  EXPECT_EQ(account.used(Resource::pages), 7U);
  EXPECT_EQ(account.denied(Resource::pages), 2U);
  EXPECT_TRUE(charge.grow(3));
  EXPECT_TRUE(account.charge(Resource::arenas, 100)) << "another resource";
}

TEST(Account, WhatIsBeyondALowerLimitStays) {
  Account account(1000);
  Charge charge = account.charge(Resource::pages, 7).value();
  account.set_limits(limited(Resource::pages, 5));
  EXPECT_EQ(account.used(Resource::pages), 7U);
  EXPECT_FALSE(charge.grow(1));
  EXPECT_TRUE(account.charge_anyway(Resource::pages, 3).amount() == 3);
  charge.shrink(4);
  EXPECT_TRUE(charge.grow(2));
  EXPECT_FALSE(charge.grow(1));
}

TEST(Account, BeyondTheBrokersIsENOMEM) {
  Account broker{Account::OfTheBroker{}};
  broker.set_limits(limited(Resource::pages, 10));
  Account user(1000, broker);
  EXPECT_EQ(&user.memory(), &broker);
  Charge charge = user.memory().charge(Resource::pages, 7).value();
  const auto refused = charge.grow(4);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ENOMEM);
  EXPECT_EQ(refused.error().why, Why::general);
  EXPECT_EQ(refused.error().message,
            "the broker may have 10 pages of memory for all users together: it has 7, and 4 more "
            "were asked for");
  EXPECT_EQ(user.used(Resource::pages), 0U);
  EXPECT_TRUE(Account(5).memory().charge(Resource::pages, UINT64_MAX / 2)) << "without a limit";
}

// Times are given: 1,000 s after the clock began.
TEST(RateMeter, CountsTheLastTenSeconds) {
  constexpr uint64_t kSecond = RateMeter::kNsPerSecond;
  const uint64_t begin = 1000 * kSecond;
  RateMeter meter;
  EXPECT_EQ(meter.per_second(begin), 0U);
  meter.add(5'000'000, begin);
  meter.add(5'000'000, begin + kSecond / 2);
  EXPECT_EQ(meter.per_second(begin + kSecond), 1'000'000U);
  meter.add(20'000'000, begin + 9 * kSecond);
  EXPECT_EQ(meter.per_second(begin + 9 * kSecond), 3'000'000U);
  EXPECT_EQ(meter.per_second(begin + 10 * kSecond), 2'000'000U) << "the first second is over";
  meter.add(1'000'000, begin + 10 * kSecond);
  EXPECT_EQ(meter.per_second(begin + 18 * kSecond), 2'100'000U);
  EXPECT_EQ(meter.per_second(begin + 19 * kSecond), 100'000U);
  EXPECT_EQ(meter.per_second(begin + 1000 * kSecond), 0U);
}

TEST(Account, CpuTimeIsMeasuredAfterwards) {
  Account account(1000);
  EXPECT_TRUE(account.may_run());
  account.ran(3'000'000'000);
  EXPECT_EQ(account.used(Resource::cpu_ms), 300U);
  EXPECT_TRUE(account.may_run()) << "without a limit";
  account.set_limits(limited(Resource::cpu_ms, 301));
  EXPECT_TRUE(account.may_run());
  account.ran(100'000'000);
  const auto refused = account.may_run();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EDQUOT);
  EXPECT_EQ(refused.error().why, Why::quota);
  EXPECT_EQ(refused.error().message,
            "programs of uid 1000 may take 301 ms of CPU time per second: they took 310 per second "
            "in the last 10 s, and more was asked for");
  EXPECT_EQ(account.denied(Resource::cpu_ms), 1U);
  Account nothing(5);
  nothing.set_limits(limited(Resource::cpu_ms, 0));
  EXPECT_FALSE(nothing.may_run());
}

TEST(Account, ConnectsAreCountedPerSecond) {
  Account account(1000);
  for (int n = 0; n < 20; ++n) EXPECT_TRUE(account.connect());
  EXPECT_EQ(account.used(Resource::connects), 2U);
  account.set_limits(limited(Resource::connects, 3));
  for (int n = 0; n < 10; ++n) EXPECT_TRUE(account.connect());
  const auto refused = account.connect();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EDQUOT);
  EXPECT_EQ(refused.error().message,
            "uid 1000 may connect 3 times per second: it did so 3 times per second in the last 10 "
            "s");
  EXPECT_EQ(account.used(Resource::connects), 3U) << "who is turned away has not connected";
}

TEST(Account, AThreadsCpuTimeIsCharged) {
  Account account(1000);
  account.set_limits(limited(Resource::cpu_ms, 1000));
  {
    const CpuCharge charge(account);
    const uint64_t begin = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    while (clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin < 20'000'000) continue;
  }
  EXPECT_GE(account.used(Resource::cpu_ms), 2U);
}

// However many ask at once, together they never have more than the limit.
TEST(Account, ThreadsShareTheLimit) {
  Account account(0);
  account.set_limits(limited(Resource::pages, 100));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 10'000; ++n) {
        const auto charge = account.charge(Resource::pages, 40);
        EXPECT_LE(account.used(Resource::pages), 100U);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(account.used(Resource::pages), 0U);
}

}  // namespace
}  // namespace uarena::broker
