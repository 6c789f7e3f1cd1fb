// What a successor reads in the ledger is what its predecessor wrote last, and a file that is no
// ledger is refused with a reason.
#include "broker/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <set>

#include "broker/memory_file.h"

namespace uarena::broker {
namespace {

using Counter = Ledger::Counter;
using ::testing::HasSubstr;

Ledger successor_of(const Ledger& ledger) {
  return Ledger::open_untrusted(Fd(::dup(ledger.fd()))).value();
}

TEST(Ledger, NumbersAreNeverGivenTwice) {
  std::optional<Ledger> ledger(Ledger::create().value());
  EXPECT_EQ(ledger->next(Counter::arena), 1U);
  EXPECT_EQ(ledger->next(Counter::program, 3), 1U);
  EXPECT_EQ(ledger->next(Counter::program), 4U);
  EXPECT_EQ(ledger->next(Counter::client), 1U) << "each kind has its own";
  for (int i = 0; i < 3; ++i) ledger.emplace(successor_of(*ledger));
  EXPECT_EQ(ledger->next(Counter::program), 5U);
  EXPECT_EQ(ledger->next(Counter::arena), 2U);
  EXPECT_EQ(ledger->next(Counter::map), 1U);
}

TEST(Ledger, ASlotSaysWhatWasInHand) {
  Ledger ledger = Ledger::create().value();
  const uint32_t slot = ledger.take_slot().value();
  ledger.slot(slot).begun_ns = 12;
  ledger.slot(slot).program = 7;
  ledger.slot(slot).begun = 99;
  Ledger successor = successor_of(ledger);
  ASSERT_TRUE(successor.take_slot(slot));
  EXPECT_EQ(successor.slot(slot).begun, 99U);
  EXPECT_EQ(successor.slot(slot).program, 7U);
  EXPECT_EQ(successor.slot(slot).begun_ns, 12U);
  successor.release_slot(slot);
  EXPECT_EQ(ledger.slot(slot).begun, 0U) << "nobody's any more";
}

TEST(Ledger, ASlotHasOneOwner) {
  Ledger ledger = Ledger::create().value();
  ASSERT_TRUE(ledger.take_slot(3));
  EXPECT_FALSE(ledger.take_slot(3));
  EXPECT_FALSE(ledger.take_slot(Ledger::kSlots));
  std::set<uint32_t> all{3};
  for (uint32_t i = 1; i < Ledger::kSlots; ++i) {
    const auto slot = ledger.take_slot();
    ASSERT_TRUE(slot);
    EXPECT_TRUE(all.insert(*slot).second) << *slot;
  }
  EXPECT_EQ(ledger.take_slot(), std::nullopt);
  ledger.slot(77).begun = 1;
  ledger.release_slot(77);
  EXPECT_EQ(ledger.take_slot(), 77U);
  EXPECT_EQ(ledger.slot(77).begun, 0U);
}

TEST(Ledger, WhatIsNoLedgerIsRefused) {
  const auto refusal = [](uint64_t offset, uint64_t word) {
    const Ledger ledger = Ledger::create().value();
    EXPECT_EQ(::pwrite(ledger.fd(), &word, sizeof word, static_cast<off_t>(offset)), 8);
    auto opened = Ledger::open_untrusted(Fd(::dup(ledger.fd())));
    EXPECT_FALSE(opened);
    return opened ? Error{} : opened.error();
  };
  EXPECT_EQ(refusal(0, 1).code, EINVAL);
  EXPECT_THAT(refusal(0, 1).message, HasSubstr("0x1"));
  EXPECT_EQ(refusal(8, 2).code, EPROTONOSUPPORT);
  EXPECT_EQ(refusal(8, 2).why, Why::version);
  EXPECT_EQ(refusal(16, UINT64_MAX).code, EINVAL) << "numbers would begin anew";
  EXPECT_FALSE(Ledger::open_untrusted(Fd(::open("/dev/null", O_RDWR | O_CLOEXEC))));
  EXPECT_FALSE(Ledger::open_untrusted(Fd(::memfd_create("short", MFD_CLOEXEC))));
  EXPECT_FALSE(Ledger::open_untrusted(create_sealed_memfd("short", 4096).value()));
}

}  // namespace
}  // namespace uarena::broker
