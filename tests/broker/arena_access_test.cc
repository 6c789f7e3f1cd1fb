// Who may do what: the first class that somebody belongs to decides.
#include "broker/arena_access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "ipc/mode_text.h"
#include "tests/broker/arena_fixture.h"

namespace uarena::broker {
namespace {

using ::testing::HasSubstr;

const Who kOwner{1000, 100, {}};
const Who kMember{1001, 1, {7, 100}};
const Who kOther{1002, 1002, {7}};
const Who kRoot{0, 0, {}};

std::string rights(const ArenaAccess& access, const Who& who) {
  std::string all;
  for (const auto& [right, letter] : {std::pair(Right::read, 'r'), std::pair(Right::write, 'w'),
                                      std::pair(Right::run, 'x'), std::pair(Right::load, 'l')})
    if (access.allows(who, right)) all += letter;
  return all;
}

TEST(ArenaAccess, TheFirstClassDecides) {
  const ArenaAccess access{1000, 100, ipc::changed_mode(0, "u=rx,g=rwl,o=w").value()};
  EXPECT_EQ(rights(access, kOwner), "rx");
  EXPECT_EQ(rights(access, kMember), "rwl");
  EXPECT_EQ(rights(access, kOther), "w");
  EXPECT_EQ(rights(access, kRoot), "rwxl");
  EXPECT_EQ(rights({1000, 100, 0}, kOwner), "");
  EXPECT_EQ(rights({1000, 100, 0}, {::geteuid(), 5, {}}), "rwxl");
  EXPECT_EQ(rights({}, kOther), "rwxl") << "everybody may do everything unless somebody says so";
}

TEST(ArenaAccess, ARefusalSaysWhoMay) {
  const auto refused = check_access({1000, 100, 0xf80}, kOther, Right::run, "heap");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EACCES);
  EXPECT_EQ(refused.error().why, Why::permission);
  EXPECT_EQ(refused.error().message,
            "uid 1002 may not run programs on arena heap: it belongs to uid 1000, gid 100, mode "
            "rwxl r--- ----");
}

TEST(ArenaAccess, ChangesAreTheOwners) {
  const ArenaAccess now{1000, 100, 0xfff};
  const auto error = [&now](const ArenaAccess& wanted, const Who& who) {
    const auto allowed = check_change(now, wanted, who, "heap");
    return allowed ? 0 : allowed.error().code;
  };
  EXPECT_EQ(error({1000, 100, 0}, kOwner), 0);
  EXPECT_EQ(error({1000, 100, 0}, kMember), EPERM);
  EXPECT_EQ(error({1000, 100, 0}, kRoot), 0);
  EXPECT_EQ(error({1001, 100, 0xfff}, kOwner), EPERM) << "nobody is given what he has to pay for";
  EXPECT_EQ(error({1001, 100, 0xfff}, kMember), EPERM);
  EXPECT_EQ(error({1001, 5, 0xfff}, kRoot), 0);
  EXPECT_EQ(error({1000, 7, 0xfff}, kOwner), EPERM);
  EXPECT_EQ(error({1000, 7, 0xfff}, {1000, 100, {7}}), 0);
}

TEST(ArenaAccess, TheNewOwnerPays) {
  Account first(1000), second(2000);
  const auto arena = Arena::create({.id = 1,
                                    .name = "test",
                                    .attr = test_attr(16),
                                    .user_vm_start = kTestStart,
                                    .owner_uid = 1000},
                                   first, {.gid = 5, .mode = 0xf00})
                         .value();
  EXPECT_EQ(arena->access(), (ArenaAccess{1000, 5, 0xf00}));
  EXPECT_NE(arena->alloc_pages(0, 3, -1, 0, Origin::client), 0u);
  Amounts amounts;
  amounts.fill(kUnlimited);
  amounts[static_cast<size_t>(Resource::pages)] = 2;
  second.set_limits(amounts);
  const auto refused = arena->set_access({2000, 6, 0xfff}, second);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EDQUOT);
  EXPECT_EQ(arena->access(), (ArenaAccess{1000, 5, 0xf00}));
  EXPECT_EQ(second.used(Resource::arenas), 0u);
  EXPECT_EQ(first.used(Resource::pages), 3u);
  amounts.fill(kUnlimited);
  second.set_limits(amounts);
  ASSERT_TRUE(arena->set_access({2000, 6, 0xff8}, second));
  EXPECT_EQ(arena->access(), (ArenaAccess{2000, 6, 0xff8}));
  EXPECT_EQ(arena->owner_uid(), 2000u);
  for (const auto resource : {Resource::pages, Resource::arenas, Resource::descriptors}) {
    EXPECT_EQ(first.used(resource), 0u);
    EXPECT_GT(second.used(resource), 0u);
  }
  arena->free_pages(arena->user_vm_start(), 3);
  EXPECT_EQ(second.used(Resource::pages), 0u);
}

}  // namespace
}  // namespace uarena::broker
