// The line of an exact client, with this process as the client: guards lie over a mapping of its
// own, and the test plays the helper.
#include "broker/exact_client.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>

#include "ipc/abi.h"
#include "ipc/base/uapi.h"
#include "tests/broker/arena_fixture.h"
#include "uffd/features.h"

namespace uarena::broker {
namespace {

constexpr uint32_t kPages = 64;
constexpr int kLimitMs = 10'000;

class ExactClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!uffd::features().guards) GTEST_SKIP() << "no guards here";
    arena_ = Arena::create({.id = 1,
                            .name = "test",
                            .attr = test_attr(kPages, kBpfFSegvOnFault),
                            .user_vm_start = kTestStart,
                            .owner_uid = 1000},
                           account_)
                 .value();
    map_ = MemoryMap::create(reinterpret_cast<void*>(kTestStart), arena_->size(),
                             PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
                             arena_->memory_fd(), 0, "a client's mapping")
               .value();
    ASSERT_EQ(::madvise(map_.data(), map_.size(), kMadvGuardInstall), 0);
    ASSERT_EQ(::pipe2(ends_, O_CLOEXEC), 0);
  }
  void TearDown() override {
    hold_.reset();
    for (const int end : ends_) ::close(end);
  }
  void start(bool resumed = false) {
    auto uffd = uffd::Userfaultfd::create_own(0);
    ASSERT_TRUE(uffd) << uffd.error().message;
    ASSERT_TRUE(uffd->register_missing(kTestStart, arena_->size()));
    int sockets[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
    helper_.reset(sockets[1]);
    auto client = ExactClient::start(arena_, ::getpid(), std::move(*uffd), Fd(sockets[0]), resumed);
    ASSERT_TRUE(client) << client.error().message;
    client_ = *client;
    hold_.emplace(arena_, client_);
    if (!resumed) client_->map_all();
  }

  int64_t alloc(uint32_t count, int64_t at = -1) {
    const uint64_t where = at < 0 ? 0 : kTestStart + static_cast<uint64_t>(at) * kPageSize;
    const uint64_t got = arena_->alloc_pages(where, count, -1, 0, Origin::program);
    return got == 0 ? -1 : static_cast<int64_t>((got - kTestStart) / kPageSize);
  }
  void free(uint64_t page, uint32_t count) {
    arena_->free_pages(kTestStart + page * kPageSize, count);
  }
  // Under a guard a system call meets EFAULT. (Not for pages that are neither there nor guarded.)
  bool guarded(uint64_t page) {
    if (::write(ends_[1], map_.data() + page * kPageSize, 1) < 0) return errno == EFAULT;
    char byte;
    EXPECT_EQ(::read(ends_[0], &byte, 1), 1);
    return false;
  }
  bool asked(int limit_ms = kLimitMs) const {
    pollfd waits{helper_.get(), POLLIN, 0};
    return ::poll(&waits, 1, limit_ms) == 1;
  }
  uarena_guard receive() {
    uarena_guard guard{};
    EXPECT_TRUE(asked());
    EXPECT_EQ(::recv(helper_.get(), &guard, sizeof guard, 0), ssize_t{sizeof guard});
    return guard;
  }
  void install(const uarena_guard& guard) {
    if (guard.length != 0) {
      EXPECT_EQ(::madvise(reinterpret_cast<void*>(guard.addr), guard.length, kMadvGuardInstall), 0);
    }
  }
  void answer(const uarena_guard& guard) {
    EXPECT_EQ(::send(helper_.get(), &guard, sizeof guard, 0), ssize_t{sizeof guard});
  }
  static PageRange pages_of(const uarena_guard& guard) {
    return {static_cast<uint32_t>((guard.addr - kTestStart) / kPageSize),
            static_cast<uint32_t>(guard.length / kPageSize)};
  }

  Account account_{1000};
  std::shared_ptr<Arena> arena_;
  MemoryMap map_;
  int ends_[2] = {-1, -1};
  Fd helper_;
  std::shared_ptr<ExactClient> client_;
  std::optional<ExactHold> hold_;
};

TEST_F(ExactClientTest, PagesLieOverTheirGuards) {
  ASSERT_EQ(alloc(3), 0);
  EXPECT_TRUE(guarded(0));
  start();
  for (const uint64_t page : {0, 1, 2}) EXPECT_FALSE(guarded(page)) << page;
  EXPECT_TRUE(guarded(3));
  ASSERT_EQ(alloc(2, 10), 10);
  EXPECT_FALSE(guarded(10));
  EXPECT_FALSE(guarded(11));
  EXPECT_TRUE(guarded(12));
  ASSERT_TRUE(arena_->install_globals(20 * kPageSize, std::vector<std::byte>(5000)));
  EXPECT_FALSE(guarded(21));
  EXPECT_TRUE(guarded(22));
}

TEST_F(ExactClientTest, FreedPagesAreGuardedInOnePiece) {
  start();
  ASSERT_EQ(alloc(16), 0);
  free(4, 4);
  free(8, 2);
  const uarena_guard guard = receive();
  EXPECT_EQ(pages_of(guard), (PageRange{4, 6}));
  install(guard);
  answer(guard);
  EXPECT_TRUE(guarded(4));
  EXPECT_FALSE(guarded(3));
  ASSERT_EQ(alloc(1, 9), 9);
  EXPECT_FALSE(guarded(9));
  EXPECT_EQ(client_->guarded(), 6u);
  EXPECT_EQ(client_->late(), 0u);
}

// What is allocated while a guard is being put there is mapped after it, and not before.
TEST_F(ExactClientTest, AnAllocationWaitsForTheGuardThatIsUnderWay) {
  start();
  ASSERT_EQ(alloc(4), 0);
  free(0, 4);
  const uarena_guard guard = receive();
  auto allocated = std::async(std::launch::async, [&] { return alloc(1, 2); });
  // It has claimed its page, and waits.
  while (arena_->counts().pages_allocated == 0) ::sched_yield();
  install(guard);
  answer(guard);
  EXPECT_EQ(allocated.get(), 2);
  EXPECT_FALSE(guarded(2));
  EXPECT_TRUE(guarded(1));
}

TEST_F(ExactClientTest, PagesThatComeBackAtOnceAreNotAskedFor) {
  start();
  ASSERT_EQ(alloc(8), 0);
  for (int turn = 0; turn < 200; ++turn) {
    free(0, 8);
    ASSERT_EQ(alloc(8, 0), 0);
  }
  // A pause of two milliseconds in between can't be excluded; more than a few can.
  int asked_for = 0;
  while (asked(50)) {
    ++asked_for;
    const uarena_guard guard = receive();
    answer(guard);
  }
  EXPECT_LT(asked_for, 50);
  for (uint64_t page = 0; page < 8; ++page) EXPECT_FALSE(guarded(page));
}

// Nobody waits for a client that does not answer for longer than a moment, nor for its second one.
TEST_F(ExactClientTest, AHelperThatDoesNotAnswer) {
  start();
  ASSERT_EQ(alloc(4), 0);
  free(0, 4);
  const uarena_guard guard = receive();
  ASSERT_EQ(alloc(1, 0), 0);
  EXPECT_EQ(client_->late(), 1u);
  for (int turn = 0; turn < 5; ++turn) {
    ASSERT_EQ(alloc(1, 1), 1);
    free(1, 1);
  }
  EXPECT_EQ(client_->late(), 6u);
  install(guard);
  answer(guard);
  while (guarded(0)) ::sched_yield();  // it catches up
  while (asked(20)) answer(receive());
  ASSERT_EQ(alloc(1, 2), 2);
  while (guarded(2)) ::sched_yield();
}

TEST_F(ExactClientTest, AHelperThatIsGoneOrTalksNonsense) {
  for (const bool gone : {true, false}) {
    start();
    ASSERT_EQ(alloc(4), 0);
    free(0, 4);
    const uarena_guard guard = receive();
    if (gone) {
      helper_.reset();
    } else {
      uarena_guard wrong = guard;
      for (wrong.seq = 1; wrong.seq < 4; ++wrong.seq) answer(wrong);
    }
    // No guards any more, but pages as before.
    ASSERT_EQ(alloc(4, 0), 0);
    for (uint64_t page = 0; page < 4; ++page) EXPECT_FALSE(guarded(page));
    free(0, 4);
    if (!gone) {
      EXPECT_FALSE(asked(50));
    }
    hold_.reset();
    ASSERT_EQ(::madvise(map_.data(), map_.size(), kMadvGuardInstall), 0);
    ASSERT_EQ(::munmap(map_.data(), map_.size()), 0);
    map_.release();
    map_ = MemoryMap::create(reinterpret_cast<void*>(kTestStart), arena_->size(),
                             PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
                             arena_->memory_fd(), 0, "a client's mapping")
               .value();
    ASSERT_EQ(::madvise(map_.data(), map_.size(), kMadvGuardInstall), 0);
  }
}

// A predecessor may have asked for guards; nothing is mapped before that is over.
TEST_F(ExactClientTest, GoesOnAfterAPredecessor) {
  ASSERT_EQ(alloc(4), 0);
  start(true);
  const uarena_guard sync = receive();
  EXPECT_EQ(sync.length, 0u);
  EXPECT_TRUE(guarded(0));
  uarena_guard old{};
  old.seq = 7;
  answer(old);
  answer(sync);
  while (guarded(0) || guarded(3)) ::sched_yield();
  EXPECT_TRUE(guarded(4));
}

}  // namespace
}  // namespace uarena::broker
