// What an arena may look like: a grid of attributes, each given to the kernel's BPF_MAP_CREATE and
// to our registry, and the errnos compared (K2-K5). Where several attributes are wrong at once the
// errno tells the order of the checks.
#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <vector>

#include "broker/arena_registry.h"
#include "tests/support/kernel_loader.h"

namespace uarena::testing {
namespace {

constexpr uint32_t kSegv = kBpfFMmapable | kBpfFSegvOnFault;
constexpr uint32_t kNoConv = kBpfFMmapable | kBpfFNoUserConv;

const std::vector<uint32_t> kMaxEntries = {
    0, 1, 2, 511, kMaxArenaPages - 1, kMaxArenaPages, kMaxArenaPages + 1, 0x80000000, 0xffffffff};

// The beginning, the middle and the last page of a 4 GiB line; misaligned; the last pages that a
// process can map; behind those; and not canonical.
const std::vector<uint64_t> kMapExtra = {0,
                                         1,
                                         0x800,
                                         0x1000,
                                         0x7e9300000000,
                                         0x7e9300001000,
                                         0x7e9300001001,
                                         0x7e93ffffe000,
                                         0x7e93fffff000,
                                         0x7ffffffff000,
                                         0x800000000000,
                                         0x8000000000000000,
                                         0xffffffff00000000,
                                         0xfffffffffffff000,
                                         0xffffffffffffffff};

// The three that an arena may have; the others beside BPF_F_MMAPABLE: no preallocation, a node,
// read only, write only, read only for programs, inner map, and two that no kernel knows.
const std::vector<uint32_t> kFlags = {0,
                                      kBpfFMmapable,
                                      kSegv,
                                      kNoConv,
                                      kSegv | kNoConv,
                                      kBpfFSegvOnFault,
                                      kBpfFNoUserConv,
                                      kBpfFMmapable | 1U << 0,
                                      kBpfFMmapable | 1U << 2,
                                      kBpfFMmapable | 1U << 3,
                                      kBpfFMmapable | 1U << 4,
                                      kBpfFMmapable | 1U << 7,
                                      kBpfFMmapable | 1U << 12,
                                      kBpfFMmapable | 1U << 30,
                                      kBpfFMmapable | 1U << 31};

class Creation : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = kernel_arena_unavailable()) GTEST_SKIP() << *reason;
  }

  static int kernel_errno(const broker::ArenaAttr& attr) {
    const auto fd = create_kernel_map({attr.map_type, attr.key_size, attr.value_size,
                                       attr.max_entries, attr.map_flags, attr.map_extra, "grid"});
    return fd ? 0 : fd.error().code;
  }
  int our_errno(const broker::ArenaAttr& attr) {
    const auto arena = arenas_.create("grid", attr, account_);
    if (!arena) return arena.error().code;
    EXPECT_TRUE(arenas_.remove((*arena)->id()).has_value());
    return 0;
  }
  // How often each answer came: a grid in which all fail, or none, would show nothing.
  void compare(const broker::ArenaAttr& attr) {
    const int kernel = kernel_errno(attr);
    EXPECT_EQ(our_errno(attr), kernel) << fmt::format(
        "key {} value {} max_entries {:#x} flags {:#x} map_extra {:#x}", attr.key_size,
        attr.value_size, attr.max_entries, attr.map_flags, attr.map_extra);
    ++answers_[kernel];
  }

  broker::Account account_{0};
  broker::ArenaRegistry arenas_;
  std::map<int, int> answers_;
};

TEST_F(Creation, SizesAndAddresses) {
  for (const uint32_t entries : kMaxEntries)
    for (const uint64_t extra : kMapExtra)
      compare({.max_entries = entries, .map_flags = kBpfFMmapable, .map_extra = extra});
  for (const int code : {0, EINVAL, E2BIG, ERANGE}) EXPECT_GT(answers_[code], 0) << code;
}

TEST_F(Creation, Flags) {
  for (const uint32_t flags : kFlags)
    for (const uint32_t entries : {0U, 1U, kMaxArenaPages, kMaxArenaPages + 1})
      for (const uint64_t extra : {uint64_t{0}, uint64_t{1}, uint64_t{0x7e93fffff000}})
        compare({.max_entries = entries, .map_flags = flags, .map_extra = extra});
  for (const int code : {0, EINVAL, E2BIG, ERANGE}) EXPECT_GT(answers_[code], 0) << code;
}

TEST_F(Creation, KeysAndValues) {
  for (const uint32_t key : {0U, 1U, 4U, 0xffffffffU})
    for (const uint32_t value : {0U, 8U, 0xffffffffU})
      for (const uint32_t entries : {0U, 1U, kMaxArenaPages + 1})
        for (const uint64_t extra : {uint64_t{0}, uint64_t{1}, uint64_t{0x7e93fffff000}})
          compare({.key_size = key,
                   .value_size = value,
                   .max_entries = entries,
                   .map_flags = kBpfFMmapable,
                   .map_extra = extra});
  EXPECT_EQ(answers_[0], 2);
}

// Difference: the kernel's arenas share an address until somebody maps both; ours each have their
// own from the beginning, so that one client can attach any number of them.
TEST_F(Creation, OverlappingAddressesAreBusyHereOnly) {
  const broker::ArenaAttr first{
      .max_entries = 4, .map_flags = kBpfFMmapable, .map_extra = 0x7e9300001000};
  broker::ArenaAttr second = first;
  second.map_extra += 3 * kPageSize;
  const auto kernel = create_kernel_map(
      {.max_entries = first.max_entries, .map_extra = first.map_extra, .name = "first"});
  ASSERT_TRUE(kernel.has_value());
  EXPECT_EQ(kernel_errno(second), 0);
  ASSERT_TRUE(arenas_.create("first", first, account_).has_value());
  EXPECT_EQ(our_errno(second), EBUSY);
  second.map_extra += kPageSize;
  EXPECT_EQ(our_errno(second), 0);
}

}  // namespace
}  // namespace uarena::testing
