// Memory is short: each userfaultfd call of the broker that takes some fails, one after the other.
// A fault that is denied is SIGSEGV, or EFAULT in a system call; nothing hangs, nobody else is
// touched by it, and nothing is lost: when there is memory again, all goes on. (Over the limit of a
// memory cgroup no call fails: the kernel ends a process of the group.)
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include <memory>

#include "tests/parity/in_child.h"
#include "tests/parity/touch.h"
#include "tests/support/denied_calls.h"
#include "tests/support/ways.h"
#include "uarena.h"
#include "uffd/uapi.h"

namespace uarena::testing {
namespace {

constexpr uint32_t kPages = 64;

struct Close {
  void operator()(uarena_conn* conn) const { uarena_close(conn); }
};
using Conn = std::unique_ptr<uarena_conn, Close>;

// An arena of a daemon, attached in this process.
class Attached {
 public:
  Attached(const BrokerProcess& broker, const std::string& name, uint32_t pages, uint32_t flags) {
    uarena_conn* raw = nullptr;
    EXPECT_EQ(uarena_connect(broker.socket().c_str(), &raw), 0) << uarena_error();
    conn_.reset(raw);
    const uarena_attr attr{UARENA_MAP_TYPE_ARENA, 0, 0, pages, UARENA_F_MMAPABLE | flags, 0};
    EXPECT_EQ(uarena_create(raw, name.c_str(), &attr, &info_), 0) << uarena_error();
    EXPECT_EQ(uarena_attach(raw, info_.id, 0, &base_), 0) << uarena_error();
  }
  uarena_conn* conn() const { return conn_.get(); }
  uint64_t id() const { return info_.id; }
  uint64_t at(uint64_t page) const { return info_.user_vm_start + page * kPageSize; }
  uarena_info stat() const {
    uarena_info now{};
    EXPECT_EQ(uarena_stat(conn(), id(), &now), 0) << uarena_error();
    return now;
  }
  void* alloc(uint64_t page) const {
    return uarena_alloc(conn(), id(), pointer(at(page)), 1, -1, 0);
  }

 private:
  Conn conn_;
  uarena_info info_{};
  void* base_ = nullptr;
};

class NoMemory : public ::testing::Test {
 protected:
  NoMemory() { answered_as_usual(); }
  void expect_refused(const Attached& arena, uint64_t page) {
    const auto signal = touch(arena.at(page) + 24);
    ASSERT_TRUE(signal.has_value());
    EXPECT_EQ(signal->si_signo, SIGSEGV);
    EXPECT_EQ(reinterpret_cast<uint64_t>(signal->si_addr), arena.at(page) + 24);
  }
  // A page of the arena that was there before is everybody's as before.
  void expect_served(const Attached& arena, uint64_t present) {
    EXPECT_FALSE(touch(arena.at(present)));
    EXPECT_TRUE(broker_.alive()) << broker_.log();
  }

  DeniedCalls calls_;
  BrokerProcess broker_{{}, 0, calls_.launcher()};
};

TEST_F(NoMemory, AClaimThatFails) {
  const Attached arena(broker_, "heap", kPages, 0);
  EXPECT_FALSE(touch(arena.at(1)));
  for (const int error : {ENOMEM, ENOSPC}) {
    calls_.deny(UFFDIO_ZEROPAGE, error);
    const uint64_t before = calls_.denied();
    expect_refused(arena, 3);
    EXPECT_EQ(system_calls_alone(arena.at(2)), std::pair(EFAULT, EFAULT));
    EXPECT_EQ(arena.alloc(4), nullptr);
    EXPECT_EQ(uarena_alloc(arena.conn(), arena.id(), nullptr, 8, -1, 0), nullptr);
    EXPECT_EQ(uarena_prefault(arena.conn(), arena.id(), pointer(arena.at(5)), 3 * kPageSize),
              -error);
    EXPECT_GE(calls_.denied(), before + 4) << "of each of these";
    expect_served(arena, 1);
    const uarena_info now = arena.stat();
    EXPECT_EQ(now.pages_allocated, 1u);
    EXPECT_EQ(now.blocks, 1u);
  }
  calls_.allow();
  EXPECT_FALSE(touch(arena.at(3)));
  // The page where system calls were refused is poisoned for this process, until it lets go of it.
  const auto poisoned = touch(arena.at(2));
  ASSERT_TRUE(poisoned.has_value());
  EXPECT_EQ(poisoned->si_signo, SIGBUS);
  EXPECT_EQ(::madvise(pointer(arena.at(2)), kPageSize, MADV_DONTNEED), 0);
  EXPECT_FALSE(touch(arena.at(2)));
  EXPECT_EQ(arena.alloc(3), nullptr) << "it is taken";
  EXPECT_EQ(arena.alloc(4), pointer(arena.at(4)));
  EXPECT_EQ(uarena_prefault(arena.conn(), arena.id(), pointer(arena.at(5)), 3 * kPageSize), 3);
  EXPECT_EQ(arena.stat().pages_allocated, 7u);
  EXPECT_EQ(arena.stat().blocks, 7u);
}

// Nobody takes this SIGSEGV, and the page can't be poisoned: the thread asks again and again, as
// long as it must, and ends as soon as that can be done.
TEST_F(NoMemory, APoisonThatFails) {
  const Attached arena(broker_, "strict", kPages, UARENA_F_SEGV_ON_FAULT);
  const Attached other(broker_, "other", kPages, 0);
  calls_.deny(uffd::kUffdioPoison, ENOMEM);
  std::thread waits([&] {
    while (calls_.denied() < 5) ::sched_yield();
    EXPECT_FALSE(touch(other.at(9))) << "others are served meanwhile";
    calls_.allow();
  });
  const int status = in_child([&] {
    std::signal(SIGSEGV, SIG_DFL);
    std::signal(SIGBUS, SIG_DFL);
    uarena_conn* mine = nullptr;
    void* base = nullptr;
    if (uarena_connect(broker_.socket().c_str(), &mine) < 0 ||
        uarena_attach(mine, arena.id(), 0, &base) < 0)
      return 1;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    static_cast<volatile char*>(base)[kPageSize] = 1;
    return 2;
  });
  waits.join();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS) << status;
  const std::string log = broker_.log();
  const size_t told = log.find("event=fault.not_poisoned");
  EXPECT_NE(told, std::string::npos) << log;
  EXPECT_EQ(log.find("event=fault.not_poisoned", told + 1), std::string::npos) << "said once";
}

// Neither an arena nor an attachment comes to be, and nothing stays of the attempt.
TEST_F(NoMemory, ARegistrationThatFails) {
  const Attached arena(broker_, "heap", kPages, 0);
  ASSERT_TRUE(broker_.wait_for_log("event=client.connected"));
  const Resources before = broker_.resources();
  const uarena_attr attr{UARENA_MAP_TYPE_ARENA, 0, 0, kPages, UARENA_F_MMAPABLE, 0};
  for (const uint64_t request : {uint64_t{UFFDIO_REGISTER}, uint64_t{UFFDIO_API}}) {
    calls_.deny(request, ENOMEM);
    EXPECT_EQ(uarena_create(arena.conn(), "second", &attr, nullptr), -ENOMEM) << uarena_error();
    const int status = in_child([&] {
      uarena_conn* mine = nullptr;
      void* base = nullptr;
      if (uarena_connect(broker_.socket().c_str(), &mine) < 0) return 1;
      return uarena_attach(mine, arena.id(), 0, &base) == -ENOMEM ? 0 : 2;
    });
    EXPECT_EQ(status, 0);
    expect_served(arena, 2);
  }
  calls_.allow();
  EXPECT_TRUE(broker_.wait_for_resources(before));
  const Attached second(broker_, "second", kPages, 0);
  EXPECT_FALSE(touch(second.at(1)));
}

}  // namespace
}  // namespace uarena::testing
