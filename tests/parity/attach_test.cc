// Where an arena may be mapped, and with which length (K3, K14-K19, K21): each range is asked of
// the kernel's mmap and of a real daemon's Attach, and the errnos compared.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "tests/parity/in_child.h"
#include "tests/support/broker_process.h"
#include "tests/support/kernel_loader.h"
#include "tests/support/raw_client.h"

namespace uarena::testing {
namespace {

constexpr uint32_t kPages = 16;
constexpr uint64_t kLength = kPages * kPageSize;
constexpr uint64_t kStart = 0x7e9300003000;

void* pointer(uint64_t address) { return reinterpret_cast<void*>(address); }

// The kernel's answer to mmap of this range, and not of another one where that suits it better
// (with a mere hint it says EBUSY where it can't have the address). The arena's address is fixed by
// map_extra or by somebody's first mapping.
int kernel_mmap(int map, uint64_t address, uint64_t length) {
  void* at = ::mmap(pointer(address), length, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_FIXED_NOREPLACE, map, 0);
  if (at == MAP_FAILED) return errno;
  EXPECT_EQ(at, pointer(address));
  ::munmap(at, length);
  return 0;
}

Fd kernel_map(uint32_t pages, uint64_t map_extra) {
  auto map = create_kernel_map({.max_entries = pages, .map_extra = map_extra, .name = "mapped"});
  if (!map) throw std::runtime_error(map.error().message);
  return std::move(*map);
}

class Attach : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = kernel_arena_unavailable()) GTEST_SKIP() << *reason;
  }
  // Every attempt has a connection of its own: one that succeeded would wait for AttachReady.
  int attach(uint64_t arena, uint64_t address, uint64_t length) {
    RawClient client(broker_.socket());
    EXPECT_TRUE(client.hello());
    const auto answer = client.attach(arena, address, length);
    return answer ? 0 : answer.error().error.code;
  }
  uint64_t create(const char* name, uint32_t pages, uint64_t map_extra) {
    RawClient client(broker_.socket());
    EXPECT_TRUE(client.hello());
    const auto made = client.create(name, pages, 0, map_extra);
    if (!made) throw std::runtime_error(made.error().error.message);
    EXPECT_EQ(made->body.info.user_vm_start, map_extra);
    return made->body.info.id;
  }

  BrokerProcess broker_;
};

TEST_F(Attach, OneAddressAndOneLength) {
  const Fd map = kernel_map(kPages, kStart);
  const uint64_t arena = create("one", kPages, kStart);
  const uint64_t far = 0x7e9400003000;
  for (const uint64_t address : {kStart, kStart - kPageSize, kStart + kPageSize, far})
    for (const uint64_t length : {kLength, kPageSize, kLength - kPageSize, kLength + kPageSize,
                                  uint64_t{1} << 31, kMaxArenaSize, kMaxArenaSize + kPageSize})
      EXPECT_EQ(attach(arena, address, length), kernel_mmap(map.get(), address, length))
          << fmt::format("{:#x} {:#x}", address, length);
  EXPECT_EQ(attach(arena, kStart, kLength), 0);
}

// Differences (K15, K19): what an attach does not state is the arena's own, where mmap takes a
// length of 0 and, once the address is fixed, an address of 0 for wrong; and a length that is
// stated is compared as it stands, where mmap rounds it up to pages first.
TEST_F(Attach, WhatIsNotStatedIsTheArenas) {
  const Fd map = kernel_map(kPages, kStart);
  const uint64_t arena = create("one", kPages, kStart);
  EXPECT_EQ(kernel_mmap(map.get(), 0, kLength), EINVAL);
  EXPECT_EQ(attach(arena, 0, kLength), 0);
  EXPECT_EQ(kernel_mmap(map.get(), kStart, 0), EINVAL);
  EXPECT_EQ(attach(arena, kStart, 0), 0);
  EXPECT_EQ(kernel_mmap(map.get(), kStart, kLength - 1), 0);
  EXPECT_EQ(attach(arena, kStart, kLength - 1), EINVAL);
}

// K3: such an arena exists, but nobody maps it. The upper half of the addresses is asked of ours
// alone: 6.18 takes one there for negative and warns in its log, which some machines don't survive.
TEST_F(Attach, AddressesThatNoProcessHas) {
  int n = 0;
  for (const uint64_t address :
       {uint64_t{0x7ffffffff000}, uint64_t{0x800000000000}, uint64_t{0x7fffffffffffe000},
        uint64_t{0xffffffff00000000}, ~(kPageSize - 1)}) {
    const uint64_t arena = create(("far" + std::to_string(n++)).c_str(), 1, address);
    EXPECT_EQ(attach(arena, address, kPageSize), ENOMEM) << address;
    if (address >> 63 != 0) continue;
    const Fd map = kernel_map(1, address);
    EXPECT_EQ(kernel_mmap(map.get(), address, kPageSize), ENOMEM) << address;
  }
}

// K21: what one process has fixed binds the others.
TEST_F(Attach, AnotherProcessMapsTheSame) {
  const Fd map = kernel_map(kPages, 0);
  void* first = ::mmap(nullptr, kLength, PROT_READ | PROT_WRITE, MAP_SHARED, map.get(), 0);
  ASSERT_NE(first, MAP_FAILED);
  const auto start = reinterpret_cast<uint64_t>(first);
  const auto child_mmap = [&](uint64_t address, uint64_t length) {
    return WEXITSTATUS(in_child([&] { return kernel_mmap(map.get(), address, length); }));
  };
  const uint64_t ours = kStart;
  const uint64_t arena = create("one", kPages, ours);
  RawClient holder(broker_.socket());
  ASSERT_TRUE(holder.hello());
  ASSERT_TRUE(holder.attach(arena));
  EXPECT_EQ(child_mmap(start, kLength), 0);
  EXPECT_EQ(attach(arena, ours, kLength), 0);
  EXPECT_EQ(child_mmap(start + kPageSize, kLength), EINVAL);
  EXPECT_EQ(attach(arena, ours + kPageSize, kLength), EINVAL);
  EXPECT_EQ(child_mmap(start, kLength - kPageSize), EINVAL);
  EXPECT_EQ(attach(arena, ours, kLength - kPageSize), EINVAL);
  EXPECT_EQ(child_mmap(start, kLength + kPageSize), E2BIG);
  EXPECT_EQ(attach(arena, ours, kLength + kPageSize), E2BIG);
  ::munmap(first, kLength);
}

// K16-K18, differently: the kernel leaves address and length to whoever maps an arena first where
// map_extra is 0. Ours has both from its creation, so nobody can choose for the others.
TEST_F(Attach, TheFirstDecidesNothing) {
  RawClient client(broker_.socket());
  ASSERT_TRUE(client.hello());
  const auto made = client.create("one", kPages);
  ASSERT_TRUE(made);
  const uarena_arena_info arena = made->body.info;
  for (const uint64_t wanted : {uint64_t{0}, kLength + kPageSize, kLength - kPageSize}) {
    const uint64_t length = wanted == 0 ? kLength : wanted;
    const Fd map = kernel_map(kPages, 0);
    EXPECT_EQ(kernel_mmap(map.get(), kStart, length), 0) << length;
  }
  EXPECT_EQ(attach(arena.id, kStart, kLength), EINVAL);
  EXPECT_EQ(attach(arena.id, arena.user_vm_start, kLength + kPageSize), E2BIG);
  EXPECT_EQ(attach(arena.id, arena.user_vm_start, kLength - kPageSize), EINVAL);
  EXPECT_EQ(attach(arena.id, arena.user_vm_start, kLength), 0);
}

// K14, differently: a memory file can be opened again, so who has the descriptor may map it only
// for reading, beside what he attached. He sees what is there and zeros elsewhere, and the arena
// has no more pages than before.
TEST_F(Attach, WhoMapsTheFileForReadingChangesNothing) {
  const Fd map = kernel_map(kPages, kStart);
  EXPECT_EQ(::open(fmt::format("/proc/self/fd/{}", map.get()).c_str(), O_RDONLY), -1);
  RawClient client(broker_.socket());
  ASSERT_TRUE(client.hello());
  const uint64_t arena = create("one", kPages, kStart);
  const auto attached = client.attach(arena);
  ASSERT_TRUE(attached);
  const int file = attached->fds.at(0).get();
  const ArenaMapping mapping(file, attached->body.info);
  ASSERT_TRUE(client.ready(arena, RawClient::userfaultfd()));
  *mapping.page(3) = 7;
  const Fd reading(::open(fmt::format("/proc/self/fd/{}", file).c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(reading);
  EXPECT_EQ(::mmap(nullptr, kLength, PROT_READ | PROT_WRITE, MAP_SHARED, reading.get(), 0),
            MAP_FAILED);
  EXPECT_EQ(errno, EACCES);
  auto* const seen = static_cast<const volatile char*>(
      ::mmap(nullptr, kLength, PROT_READ, MAP_SHARED, reading.get(), 0));
  ASSERT_NE(static_cast<const volatile void*>(seen), MAP_FAILED);
  EXPECT_EQ(seen[3 * kPageSize], 7);
  EXPECT_EQ(seen[4 * kPageSize], 0);
  *mapping.page(3) = 8;
  EXPECT_EQ(seen[3 * kPageSize], 8);
  ::munmap(const_cast<char*>(seen), kLength);
  uarena_arena_ref which{};
  which.id = arena;
  const auto now = client.ask<uarena_arena_reply>(UARENA_MSG_ARENA_GET, which);
  ASSERT_TRUE(now);
  EXPECT_EQ(now->body.info.pages_allocated, 1U);
}

}  // namespace
}  // namespace uarena::testing
