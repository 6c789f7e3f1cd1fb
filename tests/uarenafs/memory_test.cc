// `mem`: the arena's bytes, and that looking at them changes nothing.
#include <sys/mman.h>

#include <chrono>
#include <cstring>
#include <set>
#include <thread>

#include "tests/support/ways.h"
#include "tests/uarenafs/fs_fixture.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;

constexpr size_t kPage = UARENA_PAGE_SIZE;

class FsMemory : public FsFixture {
 protected:
  FsMemory() { answered_as_usual(); }  // each touch makes one page
  // An arena with bytes here and there: the first page, the last, one page alone, a run.
  void fill(uint32_t pages) {
    conn_ = connect();
    heap_ = create(conn_, "heap", pages);
    base_ = attach(conn_, heap_.id);
    pages_ = pages;
    for (unsigned n : touched())
      std::memset(at(base_, n), static_cast<int>(n % 250 + 1), kPage - 9);
    wait_until_counted(distinct());
  }
  size_t distinct() const {
    const std::vector<unsigned> all = touched();
    return std::set<unsigned>(all.begin(), all.end()).size();
  }
  // A fault is counted when it has been answered, which may be after its thread has gone on.
  void wait_until_counted(uint64_t faults) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    uarena_info info{};
    do {
      ASSERT_EQ(uarena_stat(conn_.get(), heap_.id, &info), 0) << uarena_error();
    } while (info.faults != faults && std::chrono::steady_clock::now() < end);
    ASSERT_EQ(info.faults, faults);
  }
  std::vector<unsigned> touched() const {
    std::vector<unsigned> all{0, pages_ / 3, pages_ - 1};
    for (unsigned n = 0; n < 40; ++n) all.push_back(pages_ / 2 + n);
    return all;
  }
  // Everything by which a page that came to exist would show.
  struct Counts {
    std::string info;
    blkcnt_t blocks;
    friend bool operator==(const Counts&, const Counts&) = default;
  };
  Counts counts() const {
    struct stat st{};
    EXPECT_EQ(::stat(mem().c_str(), &st), 0);
    return {read_file(at_fs("heap/info")).text, st.st_blocks};
  }
  std::string mem() const { return at_fs("heap/mem"); }

  Conn conn_;
  uarena_info heap_{};
  volatile char* base_ = nullptr;
  uint32_t pages_ = 0;
};

TEST_F(FsMemory, SizesAndBlocks) {
  fill(4096);
  struct stat st{};
  ASSERT_EQ(::stat(mem().c_str(), &st), 0);
  EXPECT_EQ(st.st_size, 4096 * static_cast<off_t>(kPage));
  EXPECT_EQ(st.st_blocks, static_cast<blkcnt_t>(touched().size() * 8));
  EXPECT_EQ(values(read_file(at_fs("heap/info")).text)["blocks"], "43");
}

TEST_F(FsMemory, ToolsReadItAndAllocateNothing) {
  fill(4096);
  const Counts before = counts();
  TempDir dir;
  const std::string copy = dir.path() + "/copy", plain = dir.path() + "/plain";

  shell("cp --sparse=always " + mem() + " " + copy);
  struct stat st{};
  ASSERT_EQ(::stat(copy.c_str(), &st), 0);
  EXPECT_EQ(st.st_size, 4096 * static_cast<off_t>(kPage));
  EXPECT_LE(st.st_blocks, static_cast<blkcnt_t>(touched().size() * 8));
  shell("cmp " + mem() + " " + copy);
  shell("cat " + mem() + " >" + plain + " && cmp " + plain + " " + copy);
  shell("dd status=none bs=5000 if=" + mem() + " | cmp - " + copy);
  EXPECT_EQ(shell("wc -c <" + mem()), std::to_string(4096 * kPage) + "\n");

  // The bytes that we see in our own mapping; absent pages are zeros.
  std::ifstream in(copy, std::ios::binary);
  std::vector<char> page_bytes(kPage);
  const auto there = touched();
  for (unsigned n = 0; n < 4096; ++n) {
    in.read(page_bytes.data(), kPage);
    if (std::ranges::find(there, n) != there.end())
      ASSERT_EQ(std::memcmp(page_bytes.data(), at(base_, n), kPage), 0) << n;
    else
      ASSERT_EQ(std::ranges::count(page_bytes, 0), static_cast<long>(kPage)) << n;
  }

  const std::string offset = std::to_string(pages_ / 3 * kPage - 8);
  const std::string byte = fmt::format("{:02x}", pages_ / 3 % 250 + 1);
  EXPECT_THAT(shell("hexdump -v -s " + offset + " -n 16 -e '16/1 \"%02x\"' " + mem()),
              std::string(16, '0') + byte + byte + byte + byte + byte + byte + byte + byte);
  shell("hexdump -C " + mem() + " | tail -n 1 | grep ^01000000");
  EXPECT_EQ(shell("dd status=none if=" + mem() + " bs=4096 skip=7 count=1 | tr -d '\\0' | wc -c"),
            "0\n");
  EXPECT_EQ(counts(), before);
}

TEST_F(FsMemory, DataAndHoles) {
  fill(4096);
  const Counts before = counts();
  const Fd fd(::open(mem().c_str(), O_RDONLY | O_CLOEXEC));
  const auto seek = [&](off_t offset, int whence) {
    const off_t found = ::lseek(fd.get(), offset, whence);
    return found < 0 ? -static_cast<long>(errno) : static_cast<long>(found);
  };
  const long size = 4096 * static_cast<long>(kPage), third = 1365 * static_cast<long>(kPage),
             half = 2048 * static_cast<long>(kPage);
  EXPECT_EQ(seek(0, SEEK_DATA), 0);
  EXPECT_EQ(seek(0, SEEK_HOLE), static_cast<long>(kPage));
  EXPECT_EQ(seek(kPage, SEEK_DATA), third);
  EXPECT_EQ(seek(third + 5, SEEK_DATA), third + 5);
  EXPECT_EQ(seek(third + 4096, SEEK_DATA), half);
  EXPECT_EQ(seek(half, SEEK_HOLE), half + 40 * static_cast<long>(kPage));
  EXPECT_EQ(seek(size - 1, SEEK_HOLE), size);
  EXPECT_EQ(seek(size, SEEK_DATA), -ENXIO);
  EXPECT_EQ(seek(0, SEEK_END), size);
  EXPECT_EQ(counts(), before);
}

TEST_F(FsMemory, ReadsAtEdges) {
  fill(128);
  const Fd fd(::open(mem().c_str(), O_RDONLY | O_CLOEXEC));
  const off_t size = 128 * static_cast<off_t>(kPage);
  std::vector<char> bytes(3 * kPage);
  EXPECT_EQ(::pread(fd.get(), bytes.data(), bytes.size(), size - 10), 10);
  EXPECT_EQ(::pread(fd.get(), bytes.data(), bytes.size(), size), 0);
  EXPECT_EQ(::pread(fd.get(), bytes.data(), bytes.size(), size + 1'000'000), 0);
  EXPECT_EQ(::pread(fd.get(), bytes.data(), 0, 0), 0);
  EXPECT_EQ(::pread(fd.get(), bytes.data(), 1, kPage - 10), 1);
  EXPECT_EQ(bytes[0], 1);
  // A private mapping reads it, too; a shared one would be a cache.
  void* map = ::mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  EXPECT_EQ(std::memcmp(map, at(base_, 0), kPage), 0);
  ::munmap(map, kPage);
  EXPECT_EQ(::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, fd.get(), 0), MAP_FAILED);
  EXPECT_EQ(errno, ENODEV);
}

// What is written while the file is open is seen by the next read, whatever its size.
TEST_F(FsMemory, ReadsAreFresh) {
  fill(1024);
  const Fd fd(::open(mem().c_str(), O_RDONLY | O_CLOEXEC));
  std::vector<char> bytes(1 << 20);
  for (const size_t size : {size_t{1}, kPage, size_t{1} << 20})
    for (unsigned n = 100; n < 110; ++n) {
      const char value = static_cast<char>(n + size % 100);
      *page(base_, n) = value;
      ASSERT_GT(::pread(fd.get(), bytes.data(), size, static_cast<off_t>(n * kPage)), 0);
      ASSERT_EQ(bytes[0], value) << size << " at page " << n;
    }
  uarena_free(conn_.get(), heap_.id, at(base_, 100), 10);
  ASSERT_GT(::pread(fd.get(), bytes.data(), kPage, 100 * kPage), 0);
  EXPECT_EQ(bytes[0], 0);
}

// 4 GiB of almost nothing: as many bytes as promised, in a time that asking for all of them through
// the socket would not allow.
TEST_F(FsMemory, TheLargestArenaIsQuick) {
  fill(1 << 20);
  const Counts before = counts();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(run_command({"/bin/bash", "-c", "cat " + mem() + " >/dev/null"}).exit_code(), 0);
  const auto end = std::chrono::steady_clock::now();
  RecordProperty("cat_4GiB_ms", static_cast<int>((end - begin) / std::chrono::milliseconds(1)));
  TempDir dir;
  shell("cp --sparse=always " + mem() + " " + dir.path() + "/copy");
  EXPECT_EQ(shell("stat -c %s " + dir.path() + "/copy"), "4294967296\n");
  EXPECT_EQ(shell("cmp -n 4096 -i 4294963200 " + mem() + " " + dir.path() + "/copy"), "");
  EXPECT_EQ(counts(), before);
}

TEST_F(FsMemory, EightReadersAtOnce) {
  fill(16384);
  const std::string expected = shell("md5sum <" + mem());
  // While a client goes on faulting elsewhere.
  const uarena_info other = create(conn_, "other", 4096);
  volatile char* elsewhere = attach(conn_, other.id);
  std::vector<std::string> sums(8);
  {
    std::vector<std::jthread> readers;
    for (std::string& sum : sums) {
      readers.emplace_back([&] { sum = run_command({"/bin/sh", "-c", "md5sum <" + mem()}).out; });
    }
    for (unsigned n = 0; n < 4096; ++n) *page(elsewhere, n) = 1;
  }
  for (const std::string& sum : sums) EXPECT_EQ(sum, expected);
}

TEST_F(FsMemory, ArenaIsDeletedWhileItIsOpen) {
  fill(1024);
  const Fd fd(::open(mem().c_str(), O_RDONLY | O_CLOEXEC));
  std::vector<char> bytes(1 << 20);
  EXPECT_GT(::pread(fd.get(), bytes.data(), bytes.size(), 0), 0);
  ASSERT_EQ(uarena_detach(conn_.get(), heap_.id), 0);
  ASSERT_EQ(uarena_delete(conn_.get(), heap_.id), 0) << uarena_error();
  for (const size_t size : {kPage, bytes.size()}) {
    EXPECT_LT(::pread(fd.get(), bytes.data(), size, 0), 0);
    EXPECT_EQ(errno, ESTALE);
  }
  EXPECT_EQ(read_file(mem()).error, ENOENT);
  // Nor does it become the next arena of that name.
  create(conn_, "heap", 1024);
  EXPECT_LT(::pread(fd.get(), bytes.data(), kPage, 0), 0);
  EXPECT_EQ(errno, ESTALE);
  EXPECT_EQ(read_file(mem()).error, 0);
}

}  // namespace
}  // namespace uarena::testing
