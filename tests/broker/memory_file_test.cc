// The memory file: sealed, private, sparse, and honest about what it holds.
#include "broker/memory_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <vector>

namespace uarena::broker {
namespace {

MemoryFile file_of(uint64_t pages) { return MemoryFile::create("test", pages * kPageSize).value(); }

std::vector<std::byte> bytes(size_t count, int value) {
  return std::vector<std::byte>(count, static_cast<std::byte>(value));
}

TEST(MemoryFile, SizeModeAndSealsAreFixed) {
  const MemoryFile file = file_of(4);
  struct stat st = {};
  ASSERT_EQ(::fstat(file.fd(), &st), 0);
  EXPECT_EQ(st.st_size, 4 * 4096);
  EXPECT_EQ(st.st_mode & 0777U, 0600U);
  EXPECT_NE(::fcntl(file.fd(), F_GETFD) & FD_CLOEXEC, 0);
  const int seals = ::fcntl(file.fd(), F_GET_SEALS);
  EXPECT_EQ(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
            F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  EXPECT_EQ(seals & F_SEAL_WRITE, 0);
  EXPECT_EQ(::ftruncate(file.fd(), 4096), -1);
  EXPECT_EQ(::ftruncate(file.fd(), 5 * 4096), -1);
  EXPECT_EQ(::fcntl(file.fd(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  EXPECT_EQ(::fchmod(file.fd(), 0700), -1) << "never executable";
}

TEST(MemoryFile, FourGibibytesAreHoles) {
  const MemoryFile file = MemoryFile::create("test", kMaxArenaSize).value();
  EXPECT_EQ(file.blocks(), 0U);
}

TEST(MemoryFile, AbsentPagesReadAsZerosAndStayAbsent) {
  MemoryFile file = file_of(4);
  ASSERT_TRUE(file.write(kPageSize + 100, bytes(10, 0x5a)));
  EXPECT_EQ(file.blocks(), 1U);
  auto all = bytes(4 * kPageSize, 0xff);
  ASSERT_TRUE(file.read(0, all));
  EXPECT_EQ(all[0], std::byte{0});
  EXPECT_EQ(all[kPageSize + 99], std::byte{0});
  EXPECT_EQ(all[kPageSize + 109], std::byte{0x5a});
  EXPECT_EQ(all[4 * kPageSize - 1], std::byte{0});
  EXPECT_EQ(file.blocks(), 1U);
}

TEST(MemoryFile, ReadBehindTheEndIsAnError) {
  const MemoryFile file = file_of(1);
  auto two = bytes(2 * kPageSize, 0);
  EXPECT_EQ(file.read(0, two).error().code, EINVAL);
}

TEST(MemoryFile, PunchTakesPagesOutOfEveryMapping) {
  MemoryFile file = file_of(8);
  ASSERT_TRUE(file.write(0, bytes(8 * kPageSize, 1)));
  void* map = ::mmap(nullptr, file.size(), PROT_READ, MAP_SHARED, file.fd(), 0);
  ASSERT_NE(map, MAP_FAILED);
  auto* seen = static_cast<volatile unsigned char*>(map);
  EXPECT_EQ(seen[2 * kPageSize], 1);
  ASSERT_TRUE(file.punch({2, 3}));
  EXPECT_EQ(file.blocks(), 5U);
  EXPECT_EQ(seen[kPageSize], 1);
  EXPECT_EQ(seen[2 * kPageSize], 0);  // this read fills the hole again: the mapping is unregistered
  EXPECT_EQ(seen[5 * kPageSize], 1);
  ::munmap(map, file.size());
}

}  // namespace
}  // namespace uarena::broker
