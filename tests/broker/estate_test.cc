// Entries and their names, and that what is held is struck out when its holder goes.
#include "broker/estate.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdlib>

#include "tests/support/fake_manager.h"

namespace uarena::broker {
namespace {

using Kind = EstateEntry::Kind;

TEST(EstateEntry, NamesSayWhatTheyAre) {
  const std::pair<EstateEntry, const char*> forms[] = {
      {{Kind::ledger}, "ledger"},
      {{Kind::memory, 1}, "mem.1"},
      {{Kind::state, UINT64_MAX}, "state.18446744073709551615"},
      {{Kind::object, 2}, "obj.2"},
      {{Kind::map, 2, 0}, "map.2.0"},
      {{Kind::client, 3}, "client.3"},
      {{Kind::uffd, 3, 1}, "uffd.3.1"},
      {{Kind::full_uffd, 3, 1}, "full.3.1"},
      {{Kind::run, 3, 16383}, "run.3.16383"}};
  for (const auto& [entry, name] : forms) {
    EXPECT_EQ(entry.name(), name);
    EXPECT_EQ(EstateEntry::parse_untrusted(name), entry) << name;
  }
}

TEST(EstateEntry, OtherNamesAreNotOurs) {
  for (const char* name :
       {"",          ".",        "mem",     "mem.",   "mem.x",        "mem.1.",
        "mem.1.2",   "mem.-1",   "mem.+1",  "mem. 1", "mem.1x",       "mem.18446744073709551616",
        "Mem.1",     "ledger.1", "ledger.", "map.1",  "map.1.",       "map..1",
        "map.1.2.3", "uffd.1",   "run.1.",  "full",   "listener-1-2", "memory.1",
        "mem.01",    "map.1.00"})
    EXPECT_EQ(EstateEntry::parse_untrusted(name), std::nullopt) << name;
}

class EstateTest : public ::testing::Test {
 protected:
  EstateTest() {
    ::setenv("NOTIFY_SOCKET", manager_.address().c_str(), 1);
    ::setenv("FDSTORE", "4", 1);
    store_.emplace(Inherited());
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("FDSTORE");
  }
  // Messages go where the environment says.
  template <typename Call>
  auto telling(Call&& call) {
    ::setenv("NOTIFY_SOCKET", manager_.address().c_str(), 1);
    auto result = call();
    ::unsetenv("NOTIFY_SOCKET");
    return result;
  }
  std::string heard() { return manager_.receive(std::chrono::milliseconds(0)).text; }

  testing::FakeManager manager_;
  std::optional<FdStore> store_;
  const Fd fd_{::memfd_create("test", MFD_CLOEXEC)};
};

TEST_F(EstateTest, ANewOneEntersItsLedger) {
  auto estate = telling([&] { return Estate::create(*store_); });
  ASSERT_TRUE(estate);
  EXPECT_TRUE((*estate)->kept());
  EXPECT_EQ(heard(), "FDSTORE=1\nFDNAME=ledger\nFDPOLL=0");
  Fd ledger(::dup((*estate)->ledger().fd()));
  EXPECT_EQ((*estate)->ledger().next(Ledger::Counter::arena), 1U);
  auto successor = telling([&] { return Estate::open_untrusted(*store_, std::move(ledger)); });
  ASSERT_TRUE(successor);
  EXPECT_EQ(heard(), "") << "it is there already";
  EXPECT_EQ((*successor)->ledger().next(Ledger::Counter::arena), 2U);
}

TEST_F(EstateTest, AHoldIsStruckOutOnce) {
  auto estate = telling([&] { return Estate::create(*store_); });
  ASSERT_TRUE(estate);
  heard();
  ASSERT_TRUE(telling([&] {
    auto hold = (*estate)->hold({Kind::client, 5}, fd_.get());
    EXPECT_TRUE(hold);
    EXPECT_EQ(heard(), "FDSTORE=1\nFDNAME=client.5\nFDPOLL=0");
    EstateHold moved(std::move(*hold));
    EXPECT_EQ(moved.entry(), (EstateEntry{Kind::client, 5}));
    {
      const EstateHold empty(std::move(*hold));
    }
    EXPECT_EQ(heard(), "");
    moved = EstateHold();
    EXPECT_EQ(heard(), "FDSTOREREMOVE=1\nFDNAME=client.5");
    return true;
  }));
  EXPECT_EQ(heard(), "");
}

TEST_F(EstateTest, WithoutRoomNothingIsHeld) {
  auto estate = telling([&] { return Estate::create(*store_); });
  ASSERT_TRUE(estate);
  for (uint64_t i = 1; i <= 3; ++i)
    ASSERT_TRUE(telling([&] { return (*estate)->enter({Kind::state, i}, fd_.get()); }));
  EXPECT_EQ(telling([&] { return (*estate)->hold({Kind::state, 4}, fd_.get()); }).error().code,
            ENOSPC);
}

TEST_F(EstateTest, WithoutAStoreAllIsWell) {
  FdStore none;
  auto estate = Estate::create(none);
  ASSERT_TRUE(estate);
  EXPECT_FALSE((*estate)->kept());
  EXPECT_TRUE((*estate)->hold({Kind::state, 4}, fd_.get()));
  EXPECT_EQ(heard(), "");
}

TEST_F(EstateTest, SlotsComeBack) {
  FdStore none;
  auto estate = Estate::create(none);
  ASSERT_TRUE(estate);
  uint32_t number;
  {
    auto slot = (*estate)->take_slot();
    ASSERT_TRUE(slot);
    number = slot->number();
    (*slot)->begun = 9;
    EXPECT_FALSE((*estate)->ledger().take_slot(number));
    LedgerSlot moved(std::move(*slot));
    EXPECT_FALSE(*slot);
    EXPECT_EQ(moved->begun, 9U);
  }
  EXPECT_TRUE((*estate)->ledger().take_slot(number));
}

}  // namespace
}  // namespace uarena::broker
