// The registry: names, ids, addresses, uses.
#include "broker/arena_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/broker/arena_fixture.h"

namespace uarena::broker {
namespace {

using testing::HasSubstr;
using Kind = ArenaUse::Kind;

struct RegistryTest : testing::Test {
  Account account{1000};
  ArenaRegistry registry;

  std::shared_ptr<Arena> create(std::string_view name, uint32_t pages = 4, uint64_t address = 0) {
    ArenaAttr attr = test_attr(pages);
    attr.map_extra = address;
    return registry.create(name, attr, account).value();
  }
};

TEST_F(RegistryTest, FindsByIdAndName) {
  const auto heap = create("heap");
  const auto other = create("other");
  EXPECT_EQ(heap->id(), 1U);
  EXPECT_EQ(other->id(), 2U);
  EXPECT_EQ(heap->owner_uid(), 1000U);
  EXPECT_EQ(registry.find(2), other);
  EXPECT_EQ(registry.find("heap"), heap);
  EXPECT_EQ(registry.find(3), nullptr);
  EXPECT_EQ(registry.find("hea"), nullptr);
  EXPECT_EQ(registry.size(), 2U);
  EXPECT_EQ(account.used(Resource::arenas), 2U);
}

TEST_F(RegistryTest, RefusesBadNamesAttributesAndDuplicates) {
  create("heap");
  EXPECT_EQ(registry.create("heap", test_attr(1), account).error().code, EEXIST);
  EXPECT_EQ(registry.create("a/b", test_attr(1), account).error().code, EINVAL);
  EXPECT_EQ(registry.create("zero", test_attr(0), account).error().code, EINVAL);
  EXPECT_EQ(registry.create("big", test_attr(kMaxArenaPages + 1), account).error().code, E2BIG);
  EXPECT_EQ(registry.size(), 1U);
  EXPECT_EQ(account.used(Resource::arenas), 1U);
}

TEST_F(RegistryTest, AddressesAreItsOwn) {
  const auto small = create("small");
  const auto whole = create("whole", kMaxArenaPages);
  EXPECT_EQ(small->user_vm_start(), kAddressRegions[0].start + kPageSize);
  EXPECT_EQ(whole->user_vm_start(), kAddressRegions[0].start + kMaxArenaSize);
  EXPECT_EQ(small->attr().map_extra, 0U) << "K9: what was given";

  const auto fixed = create("fixed", 4, 0x7ee000000000);
  EXPECT_EQ(fixed->user_vm_start(), 0x7ee000000000U);
  ArenaAttr attr = test_attr(8);
  attr.map_extra = 0x7ee000002000;
  const auto overlapping = registry.create("overlapping", attr, account);
  ASSERT_FALSE(overlapping);
  EXPECT_EQ(overlapping.error().code, EBUSY);
  EXPECT_THAT(overlapping.error().message, HasSubstr("0x7ee000000000-0x7ee000003fff"));
  ASSERT_TRUE(registry.remove(fixed->id()));
  EXPECT_TRUE(registry.create("overlapping", attr, account));
}

TEST_F(RegistryTest, IdsAreNeverReused) {
  const uint64_t first = create("heap")->id();
  ASSERT_TRUE(registry.remove(first));
  EXPECT_EQ(account.used(Resource::arenas), 0U);
  EXPECT_GT(create("heap")->id(), first);
  EXPECT_EQ(registry.find(first), nullptr);
  EXPECT_EQ(registry.remove(first).error().code, ENOENT);
}

TEST_F(RegistryTest, UsesKeepAnArena) {
  const auto heap = create("heap");
  ArenaUse client = registry.use(heap, Kind::client);
  ArenaUse program = registry.use(heap, Kind::program);
  EXPECT_TRUE(client);
  EXPECT_EQ(registry.standing(heap->id()).clients, 1U);
  EXPECT_EQ(registry.standing(heap->id()).programs, 1U);
  const auto refused = registry.remove(heap->id());
  EXPECT_EQ(refused.error().code, EBUSY);
  EXPECT_THAT(refused.error().message, HasSubstr("1 clients and 1 programs"));
  client.reset();
  EXPECT_EQ(registry.remove(heap->id()).error().code, EBUSY);
  ArenaUse moved = std::move(program);
  EXPECT_FALSE(program);
  EXPECT_EQ(registry.remove(heap->id()).error().code, EBUSY);
  moved = ArenaUse();
  EXPECT_TRUE(registry.remove(heap->id()));
  EXPECT_FALSE(registry.use(heap, Kind::client)) << "it was found before it went";
  EXPECT_EQ(registry.standing(heap->id()).arena, nullptr);
}

TEST_F(RegistryTest, ListsAscendingInPieces) {
  for (const char* name : {"c", "a", "b"}) create(name);
  std::vector<std::string> names;
  for (uint64_t after = 0;;) {
    const auto some = registry.list(after, 2);
    if (some.empty()) break;
    for (const ArenaStanding& standing : some) names.push_back(standing.arena->name());
    after = some.back().arena->id();
  }
  EXPECT_EQ(names, (std::vector<std::string>{"c", "a", "b"}));
  EXPECT_EQ(registry.list().size(), 3U);
}

TEST_F(RegistryTest, ThreadsCreateUseAndRemove) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        const auto made = registry.create(fmt::format("t{}-{}", t, i), test_attr(2), account);
        if (!made) {
          ++wrong;
          continue;
        }
        ArenaUse use = registry.use(*made, Kind::client);
        if (!use || registry.remove((*made)->id()).has_value()) ++wrong;
        use.reset();
        if (!registry.remove((*made)->id())) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(registry.size(), 0U);
  EXPECT_EQ(account.used(Resource::arenas), 0U);
}

}  // namespace
}  // namespace uarena::broker
