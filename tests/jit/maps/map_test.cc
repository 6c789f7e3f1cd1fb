// Arrays, per-CPU arrays, hashes and LRU hashes: their results for every argument, what a successor
// finds, and what programs see of them through the executors.
#include "jit/maps/map.h"

#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <array>
#include <cerrno>
#include <map>
#include <random>
#include <thread>

#include "jit/catalogue.h"
#include "jit/helpers/functions.h"
#include "tests/jit/exec/program_builder.h"

namespace uarena::jit {
namespace {

constexpr unsigned kCpus = 3;

struct TestMap {
  TestMap(MapKind kind, uint32_t entries, uint32_t value_size = 8, uint32_t key_size = 4) {
    def.name = "test";
    def.kind = kind;
    def.key_size = key_size;
    def.value_size = value_size;
    def.max_entries = entries;
    memory.resize(map_bytes(def, kCpus));
    map = open_map(def, memory, kCpus, true);
  }
  // As a successor does.
  void open() {
    memory.resize(map_bytes(def, kCpus));
    map = open_map(def, memory, kCpus, false);
  }

  std::optional<uint64_t> get(uint32_t key, unsigned cpu = 0) {
    const std::byte* value = map->lookup(&key, cpu);
    if (value == nullptr) return std::nullopt;
    uint64_t word = 0;
    std::memcpy(&word, value, sizeof word);
    return word;
  }
  int put(uint32_t key, uint64_t value, uint64_t flags = kAny, unsigned cpu = 0) {
    return map->update(&key, &value, flags, cpu);
  }
  int erase(uint32_t key) { return map->erase(&key); }
  std::map<uint32_t, uint64_t> all() {
    std::map<uint32_t, uint64_t> found;
    for (uint32_t place = 0; place < map->places(); ++place) {
      const Map::Element element = map->at(place, 0);
      if (element.key == nullptr) continue;
      uint32_t key = 0;
      std::memcpy(&key, element.key, sizeof key);
      EXPECT_FALSE(found.contains(key));
      std::memcpy(&found[key], element.value, sizeof(uint64_t));
    }
    return found;
  }

  MapDef def;
  std::vector<std::byte> memory;
  std::unique_ptr<Map> map;
};

TEST(ArrayMap, HasAllItsElementsAlways) {
  TestMap map(MapKind::array, 3);
  EXPECT_EQ(map.get(2), 0U);
  EXPECT_EQ(map.get(3), std::nullopt);
  EXPECT_EQ(map.put(2, 7), 0);
  EXPECT_EQ(map.put(2, 8, kExist), 0);
  EXPECT_EQ(map.get(2), 8U);
  EXPECT_EQ(map.put(3, 7), -E2BIG);
  EXPECT_EQ(map.put(2, 7, kNoExist), -EEXIST);
  EXPECT_EQ(map.put(2, 7, 3), -EINVAL);
  EXPECT_EQ(map.erase(2), -EINVAL);
  EXPECT_EQ(map.all(), (std::map<uint32_t, uint64_t>{{0, 0}, {1, 0}, {2, 8}}));
  EXPECT_EQ(map.map->lookup(std::array{2U}.data(), 0), map.memory.data() + 16);
}

TEST(PercpuArray, HasOneValueForEachCpu) {
  TestMap map(MapKind::percpu_array, 2);
  for (unsigned cpu = 0; cpu < kCpus; ++cpu) EXPECT_EQ(map.put(1, 10 + cpu, kAny, cpu), 0);
  for (unsigned cpu = 0; cpu < kCpus; ++cpu) {
    EXPECT_EQ(map.get(1, cpu), 10U + cpu);
    EXPECT_EQ(map.get(0, cpu), 0U);
  }
  EXPECT_EQ(map.get(1, kCpus), std::nullopt);
}

TEST(HashMap, TakesAndGivesByKey) {
  TestMap map(MapKind::hash, 2);
  EXPECT_EQ(map.get(5), std::nullopt);
  EXPECT_EQ(map.put(5, 1, kExist), -ENOENT);
  EXPECT_EQ(map.put(5, 1, kNoExist), 0);
  EXPECT_EQ(map.put(5, 2, kNoExist), -EEXIST);
  EXPECT_EQ(map.put(5, 3), 0);
  EXPECT_EQ(map.put(6, 4), 0);
  EXPECT_EQ(map.put(7, 5), -E2BIG);
  EXPECT_EQ(map.put(5, 6), 0);  // there is room to replace
  EXPECT_EQ(map.put(5, 6, 3), -EINVAL);
  EXPECT_EQ(map.all(), (std::map<uint32_t, uint64_t>{{5, 6}, {6, 4}}));
  EXPECT_EQ(map.erase(5), 0);
  EXPECT_EQ(map.erase(5), -ENOENT);
  EXPECT_EQ(map.put(7, 5), 0);
  EXPECT_EQ(map.all(), (std::map<uint32_t, uint64_t>{{6, 4}, {7, 5}}));
}

// A program that holds a value sees it unchanged while another one replaces or deletes it.
TEST(HashMap, AReplacedValueStaysForAWhile) {
  TestMap map(MapKind::hash, 4);
  map.put(5, 1);
  const std::byte* held = map.map->lookup(std::array{5U}.data(), 0);
  map.put(5, 2);
  EXPECT_EQ(std::to_integer<int>(*held), 1);
  map.erase(5);
  EXPECT_EQ(std::to_integer<int>(*held), 1);
  EXPECT_EQ(map.get(5), std::nullopt);
}

TEST(HashMap, IsAMapUnderAnyOperations) {
  std::mt19937 random(7);
  TestMap map(MapKind::hash, 50);
  std::map<uint32_t, uint64_t> model;
  for (int n = 0; n < 20000; ++n) {
    const uint32_t key = random() % 80;
    const uint64_t value = random();
    switch (random() % 4) {
      case 0:
        EXPECT_EQ(map.erase(key), model.erase(key) == 1 ? 0 : -ENOENT);
        break;
      case 1:
        EXPECT_EQ(map.get(key).has_value(), model.contains(key));
        break;
      default:
        if (model.contains(key) || model.size() < 50) {
          model[key] = value;
          EXPECT_EQ(map.put(key, value), 0);
        } else {
          EXPECT_EQ(map.put(key, value), -E2BIG);
        }
    }
    if (n % 1000 == 999) {
      ASSERT_EQ(map.all(), model);
      map.open();  // as a successor does
      ASSERT_EQ(map.all(), model);
    }
  }
}

// The word that says "in use" is what counts: a broker may die between any two stores.
TEST(HashMap, ASuccessorFindsEachKeyOnce) {
  TestMap map(MapKind::hash, 2);
  map.put(5, 1);
  std::vector<std::byte> before = map.memory;
  map.put(5, 2);
  // The old element was not given up yet.
  const std::vector<std::byte> after = map.memory;
  for (size_t n = 0; n < before.size(); ++n) map.memory[n] = before[n] | after[n];
  map.open();
  EXPECT_EQ(map.all().size(), 1U);
  EXPECT_EQ(map.put(6, 3), 0);
  EXPECT_EQ(map.put(7, 3), -E2BIG);
}

TEST(HashMap, ManyThreads) {
  TestMap map(MapKind::hash, 1000);
  {
    std::vector<std::jthread> threads;
    for (uint32_t t = 0; t < 4; ++t)
      threads.emplace_back([&map, t] {
        for (uint32_t n = 0; n < 5000; ++n) {
          const uint32_t key = t * 1000 + n % 200;
          EXPECT_EQ(map.put(key, n), 0);
          EXPECT_EQ(map.get(key), n);
          EXPECT_TRUE(n % 3 != 0 || map.erase(key) == 0);
        }
      });
  }
  EXPECT_LE(map.all().size(), 800U);
}

TEST(LruHash, MakesRoomByWhatNobodyLooksUp) {
  TestMap map(MapKind::lru_hash, 8);
  for (uint32_t key = 0; key < 8; ++key) EXPECT_EQ(map.put(key, key), 0);
  for (uint32_t key = 100; key < 104; ++key) {
    for (const uint32_t wanted : {2U, 5U}) EXPECT_EQ(map.get(wanted), wanted);
    EXPECT_EQ(map.put(key, key), 0);
  }
  EXPECT_EQ(map.all().size(), 8U);
  EXPECT_EQ(map.get(2), 2U);
  EXPECT_EQ(map.get(5), 5U);
  EXPECT_EQ(map.get(103), 103U);
}

// Parts that only functions may touch are not copied, and a dead run's locks are free.
TEST(Fields, AreNobodysToCopy) {
  for (const MapKind kind : {MapKind::array, MapKind::hash}) {
    TestMap map(kind, 1, 16);
    map.def.fields = {{MapField::Kind::spin_lock, 4, 4}};
    map.open();
    const std::array<uint32_t, 4> value = {1, 2, 3, 4};
    const uint32_t key = 0;
    EXPECT_EQ(map.map->update(&key, value.data(), kAny, 0), 0);
    auto* stored = reinterpret_cast<uint32_t*>(map.map->lookup(&key, 0));
    EXPECT_EQ(stored[0], 1U);
    EXPECT_EQ(stored[1], 0U);
    EXPECT_EQ(stored[2], 3U);
    EXPECT_EQ(stored[3], 4U);
    stored[1] = 1;  // held
    map.open();
    stored = reinterpret_cast<uint32_t*>(map.map->lookup(&key, 0));
    EXPECT_EQ(stored[1], 0U);
    EXPECT_EQ(stored[3], 4U);
  }
}

TEST(UpdateLocked, TakesTheLockOfTheValue) {
  TestMap map(MapKind::array, 1, 16);
  BoundMap bound;
  bound.map = map.map.get();
  bound.value_size = 16;
  RunContext run;
  run.limit_ns = 20'000'000;
  const std::array<uint32_t, 4> value = {1, 2, 3, 4};
  const uint32_t key = 0;
  const auto update = [&](uint64_t flags) {
    return static_cast<int64_t>(helpers::map_update_elem(
        reinterpret_cast<uint64_t>(&bound), reinterpret_cast<uint64_t>(&key),
        reinterpret_cast<uint64_t>(value.data()), flags, 0, &run));
  };
  EXPECT_EQ(update(kLock), -EINVAL);  // has none
  bound.fields = {{MapField::Kind::spin_lock, 4, 4}};
  EXPECT_EQ(update(kLock), 0);
  auto* stored = reinterpret_cast<uint32_t*>(map.memory.data());
  EXPECT_EQ(stored[0], 1U);
  EXPECT_EQ(stored[1], 0U);
  EXPECT_EQ(update(kLock | kNoExist), -EEXIST);
  stored[1] = 1;
  EXPECT_EQ(update(kLock), -EBUSY);
}

// Through the executors: lookup, update, delete, and a walk with a callback.
class MapFunctions : public testing::TestWithParam<Mode> {};

TEST_P(MapFunctions, AProgramUsesAMap) {
  TestMap map(MapKind::hash, 4);
  for (uint32_t key = 1; key <= 3; ++key) map.put(key, 10 * key);
  BoundMap bound;
  bound.map = map.map.get();
  const auto helpers = offered_helpers();
  auto fixed = FixedProgramTestPeer::make(
      test::assemble_or_die(fmt::format("r6 = {} ll\n"
                                        "r7 = r1\n"
                                        "*(u32 *)(r10 -4) = 2\n"
                                        "r1 = r6\nr2 = r10\nr2 += -4\n"
                                        "call kfunc#0\n"  // lookup
                                        "if r0 == 0 goto bad\n"
                                        "r8 = *(u64 *)(r0 +0)\n"
                                        "*(u64 *)(r7 +0) = r8\n"
                                        "*(u64 *)(r10 -16) = 99\n"
                                        "*(u32 *)(r10 -4) = 9\n"
                                        "r1 = r6\nr2 = r10\nr2 += -4\nr3 = r10\nr3 += -16\nr4 = 0\n"
                                        "call kfunc#1\n"  // update
                                        "if r0 != 0 goto bad\n"
                                        "*(u32 *)(r10 -4) = 1\n"
                                        "r1 = r6\nr2 = r10\nr2 += -4\n"
                                        "call kfunc#2\n"  // delete
                                        "if r0 != 0 goto bad\n"
                                        "*(u64 *)(r10 -16) = 0\n"
                                        "r1 = r6\n"
                                        "raw 0x18 2 4 0 11\nraw 0 0 0 0 0\n"
                                        "r3 = r10\nr3 += -16\nr4 = 0\n"
                                        "call kfunc#3\n"  // for each
                                        "r8 = *(u64 *)(r10 -16)\n"
                                        "*(u64 *)(r7 +8) = r8\n"
                                        "exit\n"
                                        "bad:\n"
                                        "r0 = -1\n"
                                        "exit\n"
                                        "r0 = 0\n"  // never: the callback begins behind it
                                        "callback:\n"
                                        "r0 = *(u64 *)(r3 +0)\n"
                                        "r1 = *(u64 *)(r4 +0)\n"
                                        "r1 += r0\n"
                                        "*(u64 *)(r4 +0) = r1\n"
                                        "r0 = 0\n"
                                        "exit\n",
                                        reinterpret_cast<uint64_t>(&bound))),
      nullptr,
      {helpers[BPF_FUNC_map_lookup_elem], helpers[BPF_FUNC_map_update_elem],
       helpers[BPF_FUNC_map_delete_elem], helpers[BPF_FUNC_for_each_map_elem]});
  std::array<uint64_t, 2> ctx{};
  RunContext run;
  EXPECT_EQ(
      executable(std::move(fixed), GetParam())->run(std::as_writable_bytes(std::span(ctx)), run),
      3U);
  EXPECT_EQ(ctx[0], 20U);
  EXPECT_EQ(ctx[1], 20U + 30 + 99);
  EXPECT_EQ(map.all(), (std::map<uint32_t, uint64_t>{{2, 20}, {3, 30}, {9, 99}}));
}

INSTANTIATE_TEST_SUITE_P(Executors, MapFunctions, testing::Values(Mode::interpret, Mode::compile),
                         [](const auto& param) {
                           return param.param == Mode::compile ? "Compiler" : "Interpreter";
                         });

}  // namespace
}  // namespace uarena::jit
