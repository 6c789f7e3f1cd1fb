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

}  // namespace
}  // namespace uarena::broker
