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
}

TEST(Log, PeerTextCanNotForgeALine) {
  EXPECT_EQ(escaped("a\nlevel=error \"\\\x1b"), "a\\x0alevel=error \\\"\\\\\\x1b");
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
