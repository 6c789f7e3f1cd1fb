// The kernel view: where it is, that a stray access meets a signal and allocates nothing, that a
// claim finds out who was first, and that none of it needs privilege.
#include "broker/kernel_view.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <functional>
#include <vector>

namespace uarena::broker {
namespace {

constexpr uint64_t kStart = 0x7e9000001000;

struct Made {
  explicit Made(uint32_t pages, uint64_t start = kStart)
      : file(MemoryFile::create("view", pages * kPageSize).value()),
        view(KernelView::create(file, start).value()) {}
  MemoryFile file;
  KernelView view;
};

// Another mapping of the file, without registration: what a client that cheats has.
class Cheat {
 public:
  explicit Cheat(const MemoryFile& file)
      : map_(MemoryMap::create(nullptr, file.size(), PROT_READ | PROT_WRITE, MAP_SHARED, file.fd(),
                               0, "a cheat")
                 .value()) {}
  volatile char& at(uint64_t offset) {
    return *reinterpret_cast<volatile char*>(map_.data() + offset);
  }

 private:
  MemoryMap map_;
};

// Runs `body` in a child; its wait status. No core, no sanitizer between us and the signal.
int status_of(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    const rlimit none = {0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    for (const int sig : {SIGBUS, SIGSEGV}) ::signal(sig, SIG_DFL);
    ::_exit(body());
  }
  int status = -1;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return status;
}

bool killed_by(int status, int sig) { return WIFSIGNALED(status) && WTERMSIG(status) == sig; }

TEST(KernelView, FileIsAtTheLow32BitsOfItsAddress) {
  const Made made(4, 0x7e93fffff000 - 3 * kPageSize);
  EXPECT_EQ(made.view.base(), made.view.kern_vm_start() + 0xfffff000 - 3 * kPageSize);
  EXPECT_TRUE(page_aligned(made.view.kern_vm_start()));
}

TEST(KernelView, FourGibibytesFit) {
  const Made made(kMaxArenaPages, 0x7e9000000000);
  EXPECT_EQ(made.view.base(), made.view.kern_vm_start());
  EXPECT_EQ(made.view.claim({kMaxArenaPages - 1, 1}).pages, 1U);
  EXPECT_EQ(made.file.blocks(), 1U);
}

TEST(KernelView, ClaimMakesPagesOfZeros) {
  const Made made(8);
  const KernelView::Claimed claimed = made.view.claim({2, 3});
  EXPECT_EQ(claimed.pages, 3U);
  EXPECT_EQ(claimed.error, 0);
  EXPECT_EQ(made.file.blocks(), 3U);
  std::vector<std::byte> bytes(3 * kPageSize, std::byte{1});
  ASSERT_TRUE(made.file.read(2 * kPageSize, bytes));
  EXPECT_EQ(bytes, std::vector<std::byte>(3 * kPageSize));
}

TEST(KernelView, ClaimStopsAtAPageThatSomebodyElseMade) {
  const Made made(8);
  Cheat cheat(made.file);
  cheat.at(5 * kPageSize) = 'x';
  KernelView::Claimed claimed = made.view.claim({3, 4});
  EXPECT_EQ(claimed.pages, 2U);
  EXPECT_EQ(claimed.error, EEXIST);
  claimed = made.view.claim({5, 1});
  EXPECT_EQ(claimed.pages, 0U);
  EXPECT_EQ(claimed.error, EEXIST);
  EXPECT_EQ(cheat.at(5 * kPageSize), 'x') << "a claim never changes what is there";
}

TEST(KernelView, PresenceFollowsTheFile) {
  Made made(8);
  ASSERT_EQ(made.view.claim({1, 2}).pages, 2U);
  ASSERT_TRUE(made.file.punch({2, 1}));
  unsigned char present[8];
  made.view.presence({0, 8}, present);
  EXPECT_EQ(std::vector<unsigned char>(present, present + 8),
            (std::vector<unsigned char>{0, 1, 0, 0, 0, 0, 0, 0}));
}

TEST(KernelView, PresentPagesAreReadAndWrittenInPlace) {
  const Made made(2);
  ASSERT_EQ(made.view.claim({1, 1}).pages, 1U);
  Cheat client(made.file);
  *reinterpret_cast<volatile char*>(made.view.base() + kPageSize + 7) = 'p';
  EXPECT_EQ(client.at(kPageSize + 7), 'p');
}

// The whole life as an unprivileged user; the access to an absent page is the last act.
int stray_access(bool unprivileged, bool store) {
  if (unprivileged && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return 2;
  auto file = MemoryFile::create("view", 4 * kPageSize);
  if (!file) return 3;
  auto view = KernelView::create(*file, kStart);
  if (!view) return 4;
  if (view->claim({1, 1}).pages != 1 || view->claim({1, 1}).error != EEXIST) return 5;
  if (!file->punch({1, 1}) || file->blocks() != 0) return 6;
  auto* const absent = reinterpret_cast<volatile char*>(view->base() + kPageSize);
  if (store) *absent = 1;
  return *absent;
}

TEST(KernelView, StrayAccessIsSigbus) {
  for (const bool unprivileged : {false, true})
    for (const bool store : {false, true}) {
      const int status = status_of([&] { return stray_access(unprivileged, store); });
      EXPECT_TRUE(killed_by(status, SIGBUS)) << status << unprivileged << store;
    }
}

TEST(KernelView, StrayAccessAllocatesNothing) {
  const Made made(4);
  // A pipe's write(2) from an absent page reads it in kernel mode.
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_EQ(::write(ends[1], reinterpret_cast<void*>(made.view.base()), 8), -1);
  EXPECT_EQ(errno, EFAULT);
  EXPECT_EQ(made.file.blocks(), 0U);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(KernelView, GuardsAndTheRestOfThe4GiBAreInaccessible) {
  for (const int64_t where : {-int64_t{1}, -int64_t{32768}, int64_t{0x100000000 + 32767},
                              int64_t{0x1000 - 1}, int64_t{0x1000 + 4 * 4096}}) {
    const int status = status_of([&] {
      const Made made(4);
      return *reinterpret_cast<volatile char*>(made.view.kern_vm_start() +
                                               static_cast<uint64_t>(where));
    });
    EXPECT_TRUE(killed_by(status, SIGSEGV)) << where << " " << status;
  }
}

TEST(KernelView, ForkedChildDoesNotInheritIt) {
  const Made made(4);
  const int status = status_of([&] { return *reinterpret_cast<volatile char*>(made.view.base()); });
  EXPECT_TRUE(killed_by(status, SIGSEGV)) << status;
  EXPECT_EQ(made.file.blocks(), 0U);
}

}  // namespace
}  // namespace uarena::broker
