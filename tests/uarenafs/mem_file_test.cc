// What a read of `mem` asks the broker for, and how old an answer may be, with a clock of the
// test's own.
#include "tools/uarenafs/mem_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "ipc/base/page.h"

namespace uarena::inspectfs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kPage = kPageSize;
constexpr uint64_t kMax = UARENA_MAX_PAGE_READ;
constexpr uint32_t kPages = 1024;

// An arena of 4 MiB in which each page that is there is filled with its number.
class MemFileTest : public ::testing::Test {
 protected:
  MemFile::Source source() {
    MemFile::Source s;
    s.extents = [this]() -> Result<std::vector<uarena_page_extent>> {
      ++lists_;
      if (error_) return std::unexpected(*error_);
      return extents_;
    };
    s.read = [this](uint64_t offset, uint32_t length) -> Result<std::vector<std::byte>> {
      EXPECT_LE(length, UARENA_MAX_PAGE_READ);
      EXPECT_GE(length, 1u);
      EXPECT_LE(offset + length, kPages * kPage);
      reads_.emplace_back(offset, length);
      if (error_) return std::unexpected(*error_);
      std::vector<std::byte> bytes(length);
      for (uint64_t i = 0; i < length; ++i) bytes[i] = byte_at(offset + i);
      return bytes;
    };
    s.now = [this] { return now_; };
    return s;
  }
  std::byte byte_at(uint64_t offset) const {
    const uint64_t page = offset / kPage;
    for (const auto& e : extents_)
      if (page >= e.page && page < e.page + e.count) return std::byte(page % 251 + 1);
    return std::byte{0};
  }
  void expect_right(uint64_t offset, const Result<std::vector<std::byte>>& bytes, size_t length) {
    ASSERT_TRUE(bytes) << bytes.error().message;
    ASSERT_EQ(bytes->size(), length);
    for (size_t i = 0; i < length; ++i)
      ASSERT_EQ((*bytes)[i], byte_at(offset + i)) << offset << " + " << i;
  }

  std::vector<uarena_page_extent> extents_{{3, 2, UARENA_ORIGIN_FAULT, 0},
                                           {600, 40, UARENA_ORIGIN_PROGRAM, 0}};
  std::optional<Error> error_;
  int lists_ = 0;
  std::vector<std::pair<uint64_t, uint32_t>> reads_;
  MemFile::Clock::time_point now_{std::chrono::hours(1)};
  MemFile file_{kPages * kPage, source()};
};

TEST_F(MemFileTest, AReadOfItsOwnIsOneQuestion) {
  expect_right(3 * kPage - 10, file_.read(3 * kPage - 10, 100), 100);
  expect_right(500 * kPage, file_.read(500 * kPage, kMax), kMax);
  EXPECT_EQ(lists_, 0);
  EXPECT_THAT(reads_, ElementsAre(std::pair(3 * kPage - 10, 100u), std::pair(500 * kPage, kMax)));
}

TEST_F(MemFileTest, ALargeReadAsksForDataOnly) {
  const size_t all = kPages * kPage;
  expect_right(0, file_.read(0, all), all);
  EXPECT_EQ(lists_, 1);
  // 600..639 in pieces that begin at multiples of 16 pages.
  EXPECT_THAT(reads_,
              ElementsAre(std::pair(3 * kPage, 2 * kPage), std::pair(600 * kPage, 8 * kPage),
                          std::pair(608 * kPage, kMax), std::pair(624 * kPage, kMax)));
}

TEST_F(MemFileTest, TheEndOfTheArena) {
  const uint64_t size = kPages * kPage;
  EXPECT_EQ(file_.read(size - 5, 100)->size(), 5u);
  EXPECT_EQ(file_.read(size, 100)->size(), 0u);
  EXPECT_EQ(file_.read(UINT64_MAX, 100)->size(), 0u);
  EXPECT_EQ(file_.read(size - kPage, SIZE_MAX)->size(), kPage);
  EXPECT_EQ(file_.read(0, 0)->size(), 0u);
}

TEST_F(MemFileTest, ASweepSharesAListForAWhile) {
  for (uint64_t at = 0; at < 64 * kPage; at += kPage)
    expect_right(at, file_.read(at, kPage), kPage);
  EXPECT_EQ(lists_, 1);
  EXPECT_THAT(reads_, ElementsAre(std::pair(0, kPage), std::pair(3 * kPage, kPage),
                                  std::pair(4 * kPage, kPage)));
  now_ += MemFile::kSweep;
  expect_right(64 * kPage, file_.read(64 * kPage, kPage), kPage);
  EXPECT_EQ(lists_, 1);
  now_ += std::chrono::milliseconds(1);
  extents_.push_back({65, 1, UARENA_ORIGIN_FAULT, 0});
  expect_right(65 * kPage, file_.read(65 * kPage, kPage), kPage);
  EXPECT_EQ(lists_, 2);
}

// Who reads the same place twice sees what happened in between, however soon.
TEST_F(MemFileTest, AReadElsewhereIsFresh) {
  expect_right(0, file_.read(0, 2 * kMax), 2 * kMax);
  extents_.push_back({10, 1, UARENA_ORIGIN_FAULT, 0});
  expect_right(0, file_.read(0, 2 * kMax), 2 * kMax);
  EXPECT_EQ(lists_, 2);
  extents_.push_back({20, 1, UARENA_ORIGIN_FAULT, 0});
  expect_right(20 * kPage, file_.read(20 * kPage, kPage), kPage);
  expect_right(20 * kPage, file_.read(20 * kPage, kPage), kPage);
  EXPECT_EQ(lists_, 2);
}

TEST_F(MemFileTest, SeekFindsDataAndHoles) {
  EXPECT_EQ(*file_.seek_data(0), 3 * kPage);
  EXPECT_EQ(*file_.seek_hole(3 * kPage), 5 * kPage);
  EXPECT_EQ(*file_.seek_hole(0), 0u);
  EXPECT_EQ(*file_.seek_data(600 * kPage + 1), 600 * kPage + 1);
  EXPECT_EQ(file_.seek_data(640 * kPage).error().code, ENXIO);
  const uint64_t size = kPages * kPage;
  EXPECT_EQ(*file_.seek_hole(size - 1), size - 1);
  for (uint64_t behind : {size, size + 1, UINT64_MAX}) {
    EXPECT_EQ(file_.seek_data(behind).error().code, ENXIO);
    EXPECT_EQ(file_.seek_hole(behind).error().code, ENXIO);
  }
  EXPECT_EQ(lists_, 1);
  now_ += 2 * MemFile::kSweep;
  EXPECT_EQ(*file_.seek_data(0), 3 * kPage);
  EXPECT_EQ(lists_, 2);
}

// As cp does: find data, find its end, read it, go on behind it.
TEST_F(MemFileTest, CopyingDataTakesOneList) {
  uint64_t at = 0, copied = 0;
  for (auto data = file_.seek_data(at); data; data = file_.seek_data(at)) {
    const uint64_t end = *file_.seek_hole(*data);
    for (at = *data; at < end;) {
      const size_t piece = std::min<uint64_t>(end - at, 2 * kMax);
      expect_right(at, file_.read(at, piece), piece);
      at += piece;
      copied += piece;
    }
  }
  EXPECT_EQ(copied, 42 * kPage);
  EXPECT_EQ(lists_, 1);
}

TEST_F(MemFileTest, ErrorsPassThroughAndTheNextReadAsksAgain) {
  error_ = Error{ESTALE, "gone", Why::not_found};
  EXPECT_EQ(file_.read(0, 1).error().code, ESTALE);
  EXPECT_EQ(file_.read(0, 2 * kMax).error().code, ESTALE);
  EXPECT_EQ(file_.seek_data(0).error().code, ESTALE);
  EXPECT_EQ(file_.seek_hole(0).error().code, ESTALE);
  error_.reset();
  expect_right(0, file_.read(0, 2 * kMax), 2 * kMax);
}

}  // namespace
}  // namespace uarena::inspectfs
