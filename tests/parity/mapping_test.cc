// What touching an absent page comes to (K26, K30), and that a child has no mapping (K22). The
// kernel's arena is mapped by mmap, ours through the library and a real daemon; the same test runs
// with each of them, in this process, or in a child where the process is to die.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "tests/parity/arena_sides.h"
#include "tests/parity/in_child.h"

namespace uarena::testing {
namespace {

constexpr uint32_t kSegv = kBpfFMmapable | kBpfFSegvOnFault;

class Mapping : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = kernel_arena_unavailable()) GTEST_SKIP() << *reason;
  }
};

template <typename Side>
class Touch : public Mapping {};
using Sides = ::testing::Types<KernelSide, OurSide, ExactSide>;
TYPED_TEST_SUITE(Touch, Sides, SideName);

TYPED_TEST(Touch, AChildHasNoMapping) {  // K22
  TypeParam side(kBpfFMmapable);
  EXPECT_FALSE(touch(side.at(2)));
  EXPECT_TRUE(mapped(side.at(2)));
  const int status = in_child([&] { return mapped(side.at(0)) || mapped(side.at(2)) ? 1 : 0; });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  // Who touches it there gets what any absent address gives.
  const int killed = in_child([&] {
    std::signal(SIGSEGV, SIG_DFL);
    *static_cast<volatile uint8_t*>(pointer(side.at(2))) = 1;
    return 0;
  });
  EXPECT_TRUE(WIFSIGNALED(killed));
  EXPECT_EQ(WTERMSIG(killed), SIGSEGV);
  EXPECT_FALSE(touch(side.at(2)));  // the parent's is as it was
}

TYPED_TEST(Touch, ATouchTakesThePage) {  // K26, K38
  TypeParam side(kBpfFMmapable);
  EXPECT_FALSE(touch(side.at(3) + 5));
  EXPECT_EQ(side.run("peek", side.at(3), 0), uint64_t{1} << 40);
  EXPECT_EQ(side.run("alloc_pages", side.at(3), 1), 0u);
  side.run("free_pages", side.at(3), 1);
  EXPECT_EQ(side.run("peek", side.at(3), 0), 0u);
  EXPECT_EQ(*static_cast<volatile uint64_t*>(pointer(side.at(3))), 0u);
  EXPECT_EQ(side.run("alloc_pages", side.at(3), 1), 0u);
}

// As one that may have a full userfaultfd, ours serves system calls like the kernel (K26).
TYPED_TEST(Touch, SystemCallsTakeThePage) {
  TypeParam side(kBpfFMmapable);
  if constexpr (std::is_base_of_v<OurSide, TypeParam>) {
    ASSERT_TRUE(side.syscalls_served() || ::geteuid() != 0);
    if (!side.syscalls_served()) GTEST_SKIP() << "no full userfaultfd for this user";
  }
  EXPECT_EQ(system_calls(side.at(4)), std::pair(0, 0));
  EXPECT_EQ(side.run("alloc_pages", side.at(4), 1), 0u);
}

// K30. The signal and its address are the kernel's; its code says that a process sent it, unless
// the client has guards, and these lie where pages were freed a moment later.
TYPED_TEST(Touch, SegvOnFaultFollowsThePages) {
  TypeParam side(kSegv);
  const auto expect_refused = [&](uint64_t address) {
    for (int again = 0; again < 2; ++again) {
      const auto signal = touch(address);
      ASSERT_TRUE(signal.has_value());
      EXPECT_EQ(signal->si_signo, SIGSEGV);
      EXPECT_EQ(reinterpret_cast<uint64_t>(signal->si_addr), address);
      EXPECT_EQ(signal->si_code, TypeParam::kSignalCode);
    }
    EXPECT_EQ(system_calls(address), std::pair(EFAULT, EFAULT));
  };
  for (const uint64_t offset : {0, 1, 24, 4087}) expect_refused(side.at(3) + offset);
  expect_refused(side.at(kPages - 1));
  EXPECT_EQ(side.run("alloc_pages", side.at(3), 1), side.at(3));
  EXPECT_FALSE(touch(side.at(3) + 24));
  EXPECT_EQ(system_calls(side.at(3)), std::pair(0, 0));
  expect_refused(side.at(4));
  EXPECT_EQ(side.run("reserve_pages", side.at(5), 1), 0u);
  expect_refused(side.at(5));
  side.run("free_pages", side.at(3), 1);
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  for (int code = 0; code != TypeParam::kSignalCode;) {
    ASSERT_LT(std::chrono::steady_clock::now(), limit);
    const auto signal = touch(side.at(3) + 24);
    ASSERT_TRUE(signal.has_value());
    ASSERT_EQ(reinterpret_cast<uint64_t>(signal->si_addr), side.at(3) + 24);
    code = signal->si_code;
  }
  expect_refused(side.at(3) + 24);
}

// --- a process that has no handler (K30) ---

// Maps the arena and touches an absent page of it, with SIGSEGV as `prepare` leaves it.
int touch_kernels_in_child(void (*prepare)()) {
  const auto map = create_kernel_map(
      {.max_entries = kPages, .map_flags = kSegv, .map_extra = kStart, .name = "segv"});
  if (!map) throw std::runtime_error(map.error().message);
  return in_child([&] {
    void* at = ::mmap(pointer(kStart), kLength, PROT_READ | PROT_WRITE, MAP_SHARED, map->get(), 0);
    if (at == MAP_FAILED) return 1;
    prepare();
    static_cast<volatile uint8_t*>(at)[kPageSize] = 1;
    return 2;
  });
}

int touch_ours_in_child(const OurSide& side, void (*prepare)()) {
  return in_child([&] {
    uarena_conn* connection = nullptr;
    void* base = nullptr;
    if (uarena_connect(side.socket().c_str(), &connection) < 0 ||
        uarena_attach(connection, side.id(), side.attach_flags(), &base) < 0)
      return 1;
    prepare();
    static_cast<volatile uint8_t*>(base)[kPageSize] = 1;
    return 2;
  });
}

int killed_by(int status) { return WIFSIGNALED(status) ? WTERMSIG(status) : -status; }

TEST_F(Mapping, WithoutAHandlerTheProcessEnds) {
  const auto by_default = [] {
    std::signal(SIGSEGV, SIG_DFL);
    std::signal(SIGBUS, SIG_DFL);
  };
  EXPECT_EQ(killed_by(touch_kernels_in_child(by_default)), SIGSEGV);
  EXPECT_EQ(killed_by(touch_ours_in_child(OurSide(kSegv), by_default)), SIGSEGV);
  EXPECT_EQ(killed_by(touch_ours_in_child(ExactSide(kSegv), by_default)), SIGSEGV);
}

// Difference: the kernel forces its signal on the process, and so do guards; our signal can't, so
// the page is poisoned, and the process ends by the SIGBUS of that.
TEST_F(Mapping, WithSegvBlockedOrIgnoredTheProcessEndsBySigbusHere) {
  const auto blocked = [] {
    std::signal(SIGSEGV, SIG_DFL);
    std::signal(SIGBUS, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
  };
  const auto ignored = [] {
    std::signal(SIGSEGV, SIG_IGN);
    std::signal(SIGBUS, SIG_DFL);
  };
  for (void (*prepare)() : {+blocked, +ignored}) {
    EXPECT_EQ(killed_by(touch_kernels_in_child(prepare)), SIGSEGV);
    EXPECT_EQ(killed_by(touch_ours_in_child(OurSide(kSegv), prepare)), SIGBUS);
    EXPECT_EQ(killed_by(touch_ours_in_child(ExactSide(kSegv), prepare)), SIGSEGV);
  }
}

}  // namespace
}  // namespace uarena::testing
