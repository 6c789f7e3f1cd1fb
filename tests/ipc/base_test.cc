#include <gtest/gtest.h>

#include "ipc/base/fd.h"
#include "ipc/base/log.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "ipc/base/result.h"

namespace uarena {
namespace {

TEST(Fd, ClosesWhatItOwnsOnce) {
  int raw = ::fcntl(0, F_DUPFD_CLOEXEC, 100);
  ASSERT_GE(raw, 0);
  {
    Fd first(raw);
    Fd second = std::move(first);
    EXPECT_FALSE(first);
    EXPECT_EQ(second.get(), raw);
    EXPECT_GE(::fcntl(raw, F_GETFD), 0);
  }
  EXPECT_EQ(::fcntl(raw, F_GETFD), -1);
}

TEST(Result, FailKeepsCodeAndSentence) {
  Result<int> r = fail(ERANGE, "{} is above {}", 5, 4);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, ERANGE);
  EXPECT_EQ(r.error().message, "5 is above 4");
  Result<int> e = fail_errno(ENOENT, "cannot open {}", "x");
  EXPECT_EQ(e.error().message, "cannot open x: No such file or directory");
  // A number of the kernel's own, which no header has.
  EXPECT_EQ(fail_errno(524, "cannot map {}", "x").error().message, "cannot map x: error 524");
}

TEST(Log, PeerTextCanNotForgeALine) {
  EXPECT_EQ(escaped("a\nlevel=error \"\\\x1b"), "a\\x0alevel=error \\\"\\\\\\x1b");
}

// A reader of standard error that stops reading costs lines, not the writer's time.
TEST(Log, DropsLinesThatNobodyReadsAndCountsThem) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Fd reader(ends[0]), writer(ends[1]);
  Fd saved(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
  ASSERT_EQ(::dup2(writer.get(), STDERR_FILENO), STDERR_FILENO);
  for (int i = 0; i < 2000; ++i)
    log(LogLevel::error, "test.line", {{"text", std::string(200, 'x')}});
  std::string text(1 << 20, ' ');
  text.resize(static_cast<size_t>(::read(reader.get(), text.data(), text.size())));
  log(LogLevel::error, "test.last");
  ASSERT_EQ(::dup2(saved.get(), STDERR_FILENO), STDERR_FILENO);
  std::string last(1 << 16, ' ');
  last.resize(static_cast<size_t>(::read(reader.get(), last.data(), last.size())));
  EXPECT_EQ(text.back(), '\n');
  EXPECT_NE(last.find("event=test.last lines_dropped_before="), std::string::npos) << last;
}

TEST(MemoryMap, UnmapsWithItsOwner) {
  std::byte* address;
  {
    auto map = MemoryMap::create(nullptr, kPageSize, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, "a test page");
    ASSERT_TRUE(map);
    address = map->data();
    address[0] = std::byte{1};
  }
  EXPECT_EQ(::msync(address, kPageSize, MS_ASYNC), -1);
  auto failed = MemoryMap::create(nullptr, 0, PROT_READ, MAP_PRIVATE, -1, 0, "nothing");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message.substr(0, 18), "cannot map nothing");
}

}  // namespace
}  // namespace uarena
