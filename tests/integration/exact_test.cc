// SEGV_ON_FAULT by guards: what a client sees of pages that come and go, and that no guard ever
// lies over an allocated page once its allocation has returned. (What a touch and a system call
// come to is compared with the kernel's arena in tests/parity/mapping_test.cc.)
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <csetjmp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "tests/integration/library_fixture.h"
#include "tests/support/ways.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;

constexpr int kBySignal = SI_SIGIO;  // the broker's

thread_local sigjmp_buf* on_fault = nullptr;
thread_local siginfo_t seen{};

// In this process a SIGSEGV of these tests jumps back to where it was raised.
class Catcher {
 public:
  Catcher() {
    struct sigaction action{};
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = [](int, siginfo_t* info, void*) {
      if (on_fault == nullptr) ::_exit(99);
      seen = *info;
      siglongjmp(*on_fault, 1);
    };
    ::sigaction(SIGSEGV, &action, &before_);
  }
  ~Catcher() { ::sigaction(SIGSEGV, &before_, nullptr); }

 private:
  struct sigaction before_{};
};

// Writes a byte; the si_code of the signal that it came to, 0: none.
int touch(volatile char* at, char value = 1) {
  sigjmp_buf back;
  on_fault = &back;
  const bool faulted = sigsetjmp(back, 1) != 0;
  if (!faulted) *at = value;
  on_fault = nullptr;
  if (!faulted) return 0;
  EXPECT_EQ(seen.si_addr, const_cast<char*>(at));
  return seen.si_code;
}

class Exact : public LibraryFixture {
 protected:
  static volatile char* attach_exact(const Conn& conn, uint64_t arena) {
    void* base = nullptr;
    EXPECT_EQ(uarena_attach(conn.get(), arena, UARENA_EXACT, &base), 0) << uarena_error();
    return static_cast<volatile char*>(base);
  }
  static volatile char* alloc(const Conn& conn, uint64_t arena, uint32_t pages, void* where = {}) {
    return static_cast<volatile char*>(uarena_alloc(conn.get(), arena, where, pages, -1, 0));
  }
  static int threads() {
    int count = 0;
    for ([[maybe_unused]] const auto& task : std::filesystem::directory_iterator("/proc/self/task"))
      ++count;
    return count;
  }

  Catcher catcher_;
};

TEST_F(Exact, PagesThatAreThereAndThoseThatAreNot) {
  const Conn conn = connect();
  const uarena_info arena = create(conn, "heap", 2048, UARENA_F_SEGV_ON_FAULT);
  volatile char* pages = alloc(conn, arena.id, 3);
  ASSERT_NE(pages, nullptr);
  volatile char* base = attach_exact(conn, arena.id);
  ASSERT_EQ(pages, base);
  for (unsigned n = 0; n < 3; ++n) EXPECT_EQ(touch(page(base, n)), 0) << n;
  EXPECT_EQ(touch(page(base, 3) + 17), SEGV_MAPERR);
  EXPECT_EQ(touch(page(base, 2047) + 4095), SEGV_MAPERR);
  EXPECT_EQ(stat(conn, arena.id).faults, 0u) << "nobody was asked";
  EXPECT_EQ(stat(conn, arena.id).pages_allocated, 3u);
  ASSERT_EQ(alloc(conn, arena.id, 2, at(base, 100)), page(base, 100));
  EXPECT_EQ(touch(page(base, 100)), 0);
  EXPECT_EQ(touch(page(base, 101)), 0);
  EXPECT_EQ(touch(page(base, 99)), SEGV_MAPERR);
  EXPECT_EQ(touch(page(base, 102)), SEGV_MAPERR);
  EXPECT_EQ(uarena_detach(conn.get(), arena.id), 0);
}

// Gone at once; who touches it is told by a signal until the guard is there.
TEST_F(Exact, AFreedPageIsGuardedAgain) {
  const Conn conn = connect();
  const uarena_info arena = create(conn, "heap", 64, UARENA_F_SEGV_ON_FAULT);
  volatile char* base = attach_exact(conn, arena.id);
  ASSERT_EQ(alloc(conn, arena.id, 10), base);
  EXPECT_EQ(touch(page(base, 5)), 0);
  ASSERT_EQ(uarena_free(conn.get(), arena.id, at(base, 0), 10), 0);
  int code = 0;
  EXPECT_TRUE(wait_until([&] {
    code = touch(page(base, 5));
    EXPECT_TRUE(code == kBySignal || code == SEGV_MAPERR) << code;
    return code == SEGV_MAPERR;
  }));
  for (unsigned n = 0; n < 10; ++n) EXPECT_EQ(touch(page(base, n)), SEGV_MAPERR) << n;
  ASSERT_EQ(alloc(conn, arena.id, 10, at(base, 0)), base);
  for (unsigned n = 0; n < 10; ++n) EXPECT_EQ(touch(page(base, n)), 0) << n;
}

// Pages come and go, with and without the time in which guards come back, and whoever gets one can
// use it at once.
TEST_F(Exact, WhatIsAllocatedCanBeTouchedAtOnce) {
  const Conn conn = connect(), other = connect();
  const uarena_info arena = create(conn, "heap", 256, UARENA_F_SEGV_ON_FAULT);
  volatile char* base = attach_exact(conn, arena.id);
  std::atomic<int> refused{0};
  const auto work = [&](const Conn& mine, unsigned seed) {
    std::mt19937 random(seed);
    for (int turn = 0; turn < 1500; ++turn) {
      const uint32_t count = 1 + random() % 8;
      volatile char* got = alloc(mine, arena.id, count);
      if (got == nullptr) continue;
      for (uint32_t n = 0; n < count; ++n) refused += touch(page(got, n), 7) != 0;
      if (random() % 16 == 0) ::sched_yield();
      uarena_free(mine.get(), arena.id, const_cast<char*>(got), count);
      // Now and then until the guards are there again: they must not come later.
      if (turn % 100 == 0) wait_until([&] { return touch(page(base, 255)) == SEGV_MAPERR; });
    }
  };
  std::thread second([&] { work(other, 2); });
  work(conn, 1);
  second.join();
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(stat(conn, arena.id).pages_allocated, 0u);
}

// The others' pages as well as one's own.
TEST_F(Exact, ExactAndOtherClientsTogether) {
  answered_as_usual();
  const Conn conn = connect();
  const uarena_info arena = create(conn, "heap", 64, UARENA_F_SEGV_ON_FAULT);
  volatile char* base = attach_exact(conn, arena.id);
  const std::string toucher = std::string(UARENA_BIN_DIR) + "/toucher";
  std::vector<std::unique_ptr<ChildProcess>> others;
  for (const bool exact : {true, false}) {
    std::vector<std::string> words{toucher, "--socket", broker_.socket(), "--handler"};
    if (exact) words.push_back("--exact");
    words.insert(words.end(), {"heap", "--hold"});
    others.push_back(std::make_unique<ChildProcess>(words));
    EXPECT_THAT(others.back()->read_line(), HasSubstr("attached"));
  }
  const auto ask = [&](size_t who, const std::string& what) {
    others[who]->write_line(what);
    return others[who]->read_line();
  };
  EXPECT_THAT(ask(0, "read 3"), HasSubstr("si_code=1"));
  EXPECT_THAT(ask(1, "read 3"), HasSubstr("si_code=-5"));
  ASSERT_NE(alloc(conn, arena.id, 1, at(base, 3)), nullptr);
  EXPECT_THAT(ask(0, "write 3 33"), HasSubstr("ok"));
  EXPECT_THAT(ask(1, "read 3"), HasSubstr("value=33"));
  EXPECT_EQ(*page(base, 3), 33);
  others[0]->kill(SIGKILL);
  others[0]->wait();
  ASSERT_NE(alloc(conn, arena.id, 1, at(base, 4)), nullptr);
  EXPECT_EQ(touch(page(base, 4)), 0);
  EXPECT_THAT(ask(1, "write 4 44"), HasSubstr("ok"));
}

// It can't put guards back, and an allocation waits for that for a moment only.
TEST_F(Exact, AStoppedClientDelaysNobodyForLong) {
  const Conn conn = connect();
  const uarena_info arena = create(conn, "heap", 64, UARENA_F_SEGV_ON_FAULT);
  ChildProcess stopped({std::string(UARENA_BIN_DIR) + "/toucher", "--socket", broker_.socket(),
                        "--handler", "--exact", "heap", "--hold"});
  EXPECT_THAT(stopped.read_line(), HasSubstr("attached"));
  volatile char* first = alloc(conn, arena.id, 4);
  ASSERT_NE(first, nullptr);
  ::kill(stopped.pid(), SIGSTOP);
  ASSERT_EQ(uarena_free(conn.get(), arena.id, const_cast<char*>(first), 4), 0);
  // Sooner or later it is asked for guards, and lags from the next allocation on.
  ASSERT_TRUE(wait_until([&] {
    volatile char* again = alloc(conn, arena.id, 1);
    if (again == nullptr) return false;
    uarena_free(conn.get(), arena.id, const_cast<char*>(again), 1);
    return broker_.log().find("event=client.lags") != std::string::npos;
  })) << broker_.log();
  volatile char* late = alloc(conn, arena.id, 1, reinterpret_cast<void*>(arena.user_vm_start));
  EXPECT_NE(late, nullptr);
  ::kill(stopped.pid(), SIGCONT);
  EXPECT_TRUE(broker_.wait_for_log("event=client.caught_up")) << broker_.log();
  stopped.write_line("write 0 5");
  EXPECT_THAT(stopped.read_line(), HasSubstr("ok"));
}

TEST_F(Exact, IsForSegvOnFaultOnly) {
  const Conn conn = connect();
  const uarena_info arena = create(conn, "heap", 64);
  void* base = nullptr;
  EXPECT_EQ(uarena_attach(conn.get(), arena.id, UARENA_EXACT, &base), -EINVAL);
  EXPECT_THAT(uarena_error(), HasSubstr("not SEGV_ON_FAULT"));
  EXPECT_EQ(uarena_attach(conn.get(), arena.id, 4, &base), -EINVAL);
  EXPECT_THAT(uarena_error(), HasSubstr("UARENA_EXACT"));
  EXPECT_EQ(uarena_attach(conn.get(), arena.id, 0, &base), 0);
}

// The thread is there while the attachment is, takes no signals, and does not follow into a child.
TEST_F(Exact, TheThreadThatGuards) {
  const Conn conn = connect();
  const uarena_info arena = create(conn, "heap", 64, UARENA_F_SEGV_ON_FAULT);
  const int before = threads();
  attach_exact(conn, arena.id);
  EXPECT_EQ(threads(), before + 1);
  bool found = false;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string line;
    std::getline(std::ifstream(task.path() / "comm"), line);
    if (line != "uarena-guards") continue;
    found = true;
    std::ifstream status(task.path() / "status");
    while (std::getline(status, line) && !line.starts_with("SigBlk:")) {
    }
    // All but those that can't be blocked, and the two that belong to the C library.
    const uint64_t blocked = std::strtoull(line.c_str() + line.rfind('\t'), nullptr, 16);
    EXPECT_EQ(blocked | 0x180040100, UINT64_MAX) << line;
  }
  EXPECT_TRUE(found);
  const pid_t child = ::fork();
  if (child == 0) {
    uarena_close(conn.get());  // in a child it does no harm to the parent's
    ::_exit(threads() == 1 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ASSERT_NE(alloc(conn, arena.id, 1), nullptr);
  EXPECT_EQ(touch(reinterpret_cast<volatile char*>(arena.user_vm_start)), 0);
  EXPECT_EQ(uarena_detach(conn.get(), arena.id), 0);
  EXPECT_EQ(threads(), before);
}

// What lies there after a detach gets no guards.
TEST_F(Exact, NoGuardComesAfterDetach) {
  const Conn conn = connect(), other = connect();
  const uarena_info arena = create(conn, "heap", 64, UARENA_F_SEGV_ON_FAULT);
  for (int turn = 0; turn < 50; ++turn) {
    attach_exact(conn, arena.id);
    volatile char* got = alloc(other, arena.id, 64);
    ASSERT_NE(got, nullptr);
    ASSERT_EQ(uarena_free(other.get(), arena.id, const_cast<char*>(got), 64), 0);
    ASSERT_EQ(uarena_detach(conn.get(), arena.id), 0);
    void* mine = ::mmap(reinterpret_cast<void*>(arena.user_vm_start), 64 * UARENA_PAGE_SIZE,
                        PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);
    ASSERT_NE(mine, MAP_FAILED);
    for (unsigned n = 0; n < 64; ++n) ASSERT_EQ(touch(page(static_cast<char*>(mine), n)), 0);
    ::munmap(mine, 64 * UARENA_PAGE_SIZE);
  }
}

}  // namespace
}  // namespace uarena::testing
