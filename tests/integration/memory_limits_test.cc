// A memory cgroup is full: a client's, or the broker's. A page is charged to the group of whoever
// makes it: served ones to the broker's, those of direct arenas and of fault-around to the
// client's.
//
// So a client may have more served pages than its limit; where it has to pay itself, the kernel
// ends it, never silently. And the broker denies pages before its own group is full
// (memory_group.h), so that the kernel never has to choose. Nobody else is touched by either, and
// no page that was there is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string_view>

#include "tests/parity/in_child.h"
#include "tests/parity/touch.h"
#include "tests/support/broker_process.h"
#include "tests/support/memory_group.h"
#include "tests/support/ways.h"
#include "uarena.h"

namespace uarena::testing {
namespace {

constexpr uint32_t kPages = 8192;           // more than any limit here
constexpr uint64_t kLimit = 16 << 20;       // of a client, which has a few MiB of its own
constexpr unsigned kSecondsOfAClient = 60;  // then SIGALRM ends it

struct Close {
  void operator()(uarena_conn* conn) const { uarena_close(conn); }
};
using Conn = std::unique_ptr<uarena_conn, Close>;

Conn connect(const BrokerProcess& broker) {
  uarena_conn* raw = nullptr;
  EXPECT_EQ(uarena_connect(broker.socket().c_str(), &raw), 0) << uarena_error();
  return Conn(raw);
}

uarena_info create(const Conn& conn, const char* name, uint32_t fault, uint32_t around = 0) {
  const uarena_attr attr{UARENA_MAP_TYPE_ARENA, 0, 0, kPages, UARENA_F_MMAPABLE, 0};
  const uarena_create_opts opts{sizeof opts, fault, around};
  uarena_info info{};
  EXPECT_EQ(uarena_create_with(conn.get(), name, &attr, &opts, &info), 0) << uarena_error();
  return info;
}

uarena_info stat(const Conn& conn, const uarena_info& arena) {
  uarena_info now{};
  EXPECT_EQ(uarena_stat(conn.get(), arena.id, &now), 0) << uarena_error();
  return now;
}

uint64_t page_of(const uarena_info& arena, uint64_t page) {
  return arena.user_vm_start + page * kPageSize;
}

class MemoryLimit : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!group_.made()) GTEST_SKIP() << "no memory controller of cgroup v1 to make a group in";
  }
  MemoryGroup group_;
};

class ClientAtItsLimit : public MemoryLimit {
 protected:
  // A child in the group touches all pages; how it ended, as from waitpid.
  int touch_all(const uarena_info& arena) {
    return in_child([&] {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::alarm(kSecondsOfAClient);
      uarena_conn* mine = nullptr;
      void* base = nullptr;
      if (!group_.enter() || uarena_connect(broker_.socket().c_str(), &mine) != 0) return 1;
      if (uarena_attach(mine, arena.id, 0, &base) != 0) return 2;
      for (uint64_t page = 0; page < kPages; ++page)
        if (touch(page_of(arena, page))) return 3;
      return 0;
    });
  }
  void expect_killed(int status) {
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    EXPECT_TRUE(group_.has_killed());
  }
  // Another client finds every page that was made, and the broker as it was.
  void expect_nothing_lost(const Conn& conn, const uarena_info& arena) {
    EXPECT_TRUE(broker_.alive()) << broker_.log();
    void* base = nullptr;
    ASSERT_EQ(uarena_attach(conn.get(), arena.id, 0, &base), 0) << uarena_error();
    // The broker may still be at the pages around the last fault.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    uarena_info now = stat(conn, arena);
    while (now.blocks != now.pages_allocated && std::chrono::steady_clock::now() < end)
      now = stat(conn, arena);
    EXPECT_GT(now.pages_allocated, 100u);
    EXPECT_EQ(now.blocks, now.pages_allocated);
    EXPECT_EQ(*static_cast<char*>(base), 1) << "what the other one has written";
    EXPECT_FALSE(touch(page_of(arena, kPages - 1)));
    EXPECT_EQ(uarena_detach(conn.get(), arena.id), 0);
    EXPECT_EQ(uarena_free(conn.get(), arena.id, pointer(arena.user_vm_start), kPages), 0);
    EXPECT_EQ(stat(conn, arena).blocks, 0u);
  }
  BrokerProcess broker_;
};

TEST_F(ClientAtItsLimit, ServedPagesAreTheBrokers) {
  ASSERT_TRUE(group_.limit(kLimit));
  const Conn conn = connect(broker_);
  const uarena_info arena = create(conn, "heap", UARENA_SERVED);
  EXPECT_EQ(touch_all(arena), 0);
  EXPECT_FALSE(group_.has_killed());
  EXPECT_EQ(stat(conn, arena).pages_allocated, kPages);
  expect_nothing_lost(conn, arena);
}

TEST_F(ClientAtItsLimit, ADirectOneIsKilled) {
  ASSERT_TRUE(group_.limit(kLimit));
  const Conn conn = connect(broker_);
  const uarena_info arena = create(conn, "heap", UARENA_DIRECT);
  expect_killed(touch_all(arena));
  expect_nothing_lost(conn, arena);
}

TEST_F(ClientAtItsLimit, FaultAroundHasItKilled) {
  ASSERT_TRUE(group_.limit(kLimit));
  const Conn conn = connect(broker_);
  const uarena_info arena = create(conn, "heap", UARENA_SERVED, UARENA_AROUND_AUTO);
  expect_killed(touch_all(arena));
  expect_nothing_lost(conn, arena);
}

// The broker meets ENOMEM on the way around, and serves one page for each fault.
TEST_F(ClientAtItsLimit, FaultAroundWithoutTheKillerBecomesSingleFaults) {
  ASSERT_TRUE(group_.limit(kLimit));
  ASSERT_TRUE(group_.without_killer());
  const Conn conn = connect(broker_);
  const uarena_info arena = create(conn, "heap", UARENA_SERVED, UARENA_AROUND_AUTO);
  EXPECT_EQ(touch_all(arena), 0);
  EXPECT_EQ(stat(conn, arena).pages_allocated, kPages);
  expect_nothing_lost(conn, arena);
}

// The broker's group: the pages of all clients, and its own memory.
class BrokerAtItsLimit : public MemoryLimit {
 protected:
  static constexpr uint64_t kGroup = 48 << 20;
  static constexpr size_t kStep = 256 << 10;
  static constexpr uint64_t kRoom = kGroup / 2 / kPageSize;  // pages_beside_broker() of so little

  void start(std::vector<std::string> arguments = {}) {
    answered_as_usual();
    ASSERT_TRUE(group_.limit(kGroup));
    broker_.emplace(std::move(arguments), 0, group_.launcher());
    ASSERT_TRUE(broker_->wait_for_log("event=memory.limited")) << broker_->log();
    conn_ = connect(*broker_);
    arena_ = create(conn_, "heap", UARENA_SERVED);
    void* base = nullptr;
    ASSERT_EQ(uarena_attach(conn_.get(), arena_.id, 0, &base), 0) << uarena_error();
  }
  // How many pages could be touched until one was denied.
  uint64_t fill() {
    for (uint64_t page = 0; page < kPages; ++page)
      if (const auto signal = touch(page_of(arena_, page))) {
        EXPECT_EQ(signal->si_signo, SIGSEGV);
        EXPECT_EQ(signal->si_addr, pointer(page_of(arena_, page)));
        return page;
      }
    return kPages;
  }
  void expect_full_and_in_order() {
    const uarena_info now = stat(conn_, arena_);
    EXPECT_EQ(now.pages_allocated, kRoom);
    EXPECT_EQ(now.blocks, kRoom);
    EXPECT_LT(group_.used(), kGroup);
    // All others are still answered, and told what it is.
    const Conn other = connect(*broker_);
    EXPECT_EQ(uarena_alloc(other.get(), arena_.id, nullptr, 1, -1, 0), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_THAT(uarena_error(), ::testing::HasSubstr("of memory for all users together"));
    EXPECT_LT(uarena_prefault(other.get(), arena_.id, pointer(page_of(arena_, kRoom)), kPageSize),
              0);
    EXPECT_EQ(system_calls_alone(page_of(arena_, kPages - 2)), std::pair(EFAULT, EFAULT));
  }
  void expect_room_again() {
    ASSERT_EQ(uarena_free(conn_.get(), arena_.id, pointer(page_of(arena_, 100)), 50), 0);
    EXPECT_EQ(stat(conn_, arena_).blocks, kRoom - 50);
    for (uint64_t page = 100; page < 150; ++page) EXPECT_FALSE(touch(page_of(arena_, page)));
    EXPECT_TRUE(touch(page_of(arena_, kPages - 1)));
  }

  // The process that the keeper has started last.
  pid_t kept_pid() {
    constexpr std::string_view kKey = "event=keeper.broker_started pid=";
    const std::string log = broker_->log();
    const size_t at = log.rfind(kKey);
    EXPECT_NE(at, log.npos);
    return at == log.npos ? 0 : std::stoi(log.substr(at + kKey.size()));
  }

  std::optional<BrokerProcess> broker_;
  Conn conn_;
  uarena_info arena_{};
};

TEST_F(BrokerAtItsLimit, FaultsAreDeniedBefore) {
  start();
  EXPECT_EQ(fill(), kRoom);
  expect_full_and_in_order();
  EXPECT_TRUE(broker_->wait_for_log("event=memory.denied"));
  EXPECT_FALSE(group_.has_killed());
  expect_room_again();
}

// Nobody would be killed here: threads of the broker would sleep in page faults of their own.
TEST_F(BrokerAtItsLimit, WithoutTheKillerNothingHangs) {
  ASSERT_TRUE(group_.without_killer());
  start();
  EXPECT_EQ(fill(), kRoom);
  expect_full_and_in_order();
  expect_room_again();
}

TEST_F(BrokerAtItsLimit, ProgramsGetNullAndDirectArenasCountOnlyWhatIsMadeForThem) {
  start();
  const uarena_info direct = create(conn_, "direct", UARENA_DIRECT);
  void* base = nullptr;
  ASSERT_EQ(uarena_attach(conn_.get(), direct.id, 0, &base), 0) << uarena_error();
  for (uint64_t page = 0; page < kPages; ++page) EXPECT_FALSE(touch(page_of(direct, page)));
  EXPECT_EQ(fill(), kRoom) << "the client's own memory is no matter of the broker's group";
  EXPECT_EQ(uarena_free(conn_.get(), direct.id, base, 64), 0);
  EXPECT_EQ(uarena_alloc(conn_.get(), direct.id, nullptr, 64, -1, 0), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  ASSERT_EQ(uarena_free(conn_.get(), arena_.id, pointer(page_of(arena_, 0)), 64), 0);
  EXPECT_EQ(uarena_alloc(conn_.get(), direct.id, nullptr, 64, -1, 0), base) << uarena_error();
  EXPECT_TRUE(touch(page_of(arena_, 0)));
  EXPECT_EQ(uarena_free(conn_.get(), direct.id, base, 64), 0);
  EXPECT_FALSE(touch(page_of(arena_, 0)));
}

// The successor finds the group as full as it was.
TEST_F(BrokerAtItsLimit, ASuccessorGoesOn) {
  start({"--keeper"});
  EXPECT_EQ(fill(), kRoom);
  ::kill(kept_pid(), SIGKILL);
  ASSERT_TRUE(broker_->wait_for_log("event=daemon.took_over")) << broker_->log();
  expect_full_and_in_order();
  expect_room_again();
}

// Something else in the group takes all of it, and the kernel chooses the broker.
TEST_F(BrokerAtItsLimit, KilledForWantOfMemoryItComesBack) {
  start({"--keeper"});
  for (uint64_t page = 0; page < 1000; ++page) ASSERT_FALSE(touch(page_of(arena_, page)));
  std::ofstream("/proc/" + std::to_string(kept_pid()) + "/oom_score_adj") << 1000;
  in_child([&] {  // it may be killed itself, when the broker was not enough
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::alarm(kSecondsOfAClient);
    if (!group_.enter()) return 1;
    for (uint64_t bytes = 0; bytes < kGroup && !group_.has_killed(); bytes += kStep)
      std::memset(new char[kStep], 1, kStep);
    return 0;
  });
  EXPECT_TRUE(group_.has_killed());
  ASSERT_TRUE(broker_->wait_for_log("event=daemon.took_over")) << broker_->log();
  EXPECT_EQ(stat(conn_, arena_).pages_allocated, 1000u);
  EXPECT_EQ(fill(), kRoom);
  expect_full_and_in_order();
}

// Who says more than there is gets what the kernel does then; the line of the log is his.
TEST_F(BrokerAtItsLimit, AnAdministratorKnowsBetter) {
  const TempDir dir;
  const std::string file = dir.path() + "/uarenad.toml";
  std::ofstream(file) << "[broker]\npages = 10\n";
  answered_as_usual();
  ASSERT_TRUE(group_.limit(kGroup));
  broker_.emplace(std::vector<std::string>{"--config", file}, 0, group_.launcher());
  conn_ = connect(*broker_);
  arena_ = create(conn_, "heap", UARENA_SERVED);
  void* base = nullptr;
  ASSERT_EQ(uarena_attach(conn_.get(), arena_.id, 0, &base), 0) << uarena_error();
  EXPECT_EQ(fill(), 10u);
  std::ofstream(file) << "[broker]\npages = \"unlimited\"\n";
  ::kill(broker_->pid(), SIGHUP);
  ASSERT_TRUE(broker_->wait_for_log("event=config.in_force"));
  EXPECT_FALSE(touch(page_of(arena_, 10)));
}

}  // namespace
}  // namespace uarena::testing
