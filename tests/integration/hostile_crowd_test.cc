// Ten thousand threads that fault at once, and a flood of faults that are none of the arena's: all
// are answered, others are served meanwhile, and nothing stays when the process is killed.
#include <signal.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/hostile_fixture.h"

namespace uarena::testing {
namespace {

constexpr uint32_t kThreads = 10'000;
// All these threads are looked at one by one, on machines that do other things, too.
constexpr auto kLimit = std::chrono::seconds(60);

class HostileCrowd : public Hostile {
 protected:
  void SetUp() override {
    RawClient client(broker_.socket());
    ASSERT_TRUE(client.hello());
    const auto made = client.create("crowd", kThreads);
    ASSERT_TRUE(made);
    crowded_ = made->body.info;
  }
  void TearDown() override {
    EXPECT_TRUE(broker_.wait_until_alone());
    uarena_arena_ref ref{};
    ref.id = crowded_.id;
    {
      RawClient client(broker_.socket());
      ASSERT_TRUE(client.hello());
      EXPECT_TRUE(client.ask<uarena_empty>(UARENA_MSG_ARENA_DELETE, ref));
    }
    Hostile::TearDown();
  }
  ChildProcess crowd(uint32_t threads, const char* where) {
    return ChildProcess({UARENA_BIN_DIR "/../tests/crowd", broker_.socket(),
                         std::to_string(crowded_.id), std::to_string(crowded_.user_vm_start),
                         std::to_string(crowded_.max_entries), std::to_string(threads), where});
  }
  uarena_arena_info stat() {
    RawClient client(broker_.socket());
    EXPECT_TRUE(client.hello());
    uarena_arena_ref ref{};
    ref.id = crowded_.id;
    return client.ask<uarena_arena_reply>(UARENA_MSG_ARENA_GET, ref)->body.info;
  }
  // Threads of the process that wait for the answer to a fault.
  static uint32_t faulting(pid_t pid) {
    uint32_t found = 0;
    for (const auto& task :
         std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
      std::string where;
      std::getline(std::ifstream(task.path() / "wchan"), where);
      found += where.find("userfault") != std::string::npos;
    }
    return found;
  }
  // All of them wait, and the broker stands still.
  void have_all_fault(ChildProcess& child) {
    EXPECT_EQ(child.read_line(kLimit), "ready");
    ::kill(broker_.pid(), SIGSTOP);
    siginfo_t stopped{};  // every thread of it
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(broker_.pid()), &stopped, WSTOPPED), 0);
    child.write_line("go");
    const auto end = std::chrono::steady_clock::now() + kLimit;
    uint32_t waiting = 0;
    while ((waiting = faulting(child.pid())) < kThreads && std::chrono::steady_clock::now() < end)
      ::sched_yield();
    EXPECT_EQ(waiting, kThreads);
  }

  uarena_arena_info crowded_{};
};

TEST_F(HostileCrowd, TenThousandThreadsFaultAtOnce) {
  ChildProcess child = crowd(kThreads, "arena");
  have_all_fault(child);
  ::kill(broker_.pid(), SIGCONT);
  serve_somebody();
  EXPECT_EQ(child.read_line(kLimit), "done");
  const uarena_arena_info now = stat();
  EXPECT_EQ(now.pages_allocated, kThreads);
  EXPECT_EQ(now.blocks, kThreads);
  child.write_line("end");
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(HostileCrowd, KilledWhileTenThousandThreadsWait) {
  ChildProcess child = crowd(kThreads, "arena");
  have_all_fault(child);
  child.kill(SIGKILL);
  child.wait(kLimit);
  ::kill(broker_.pid(), SIGCONT);
  serve_somebody();
  const uarena_arena_info now = stat();
  EXPECT_EQ(now.pages_allocated, now.blocks);
}

// Refused one by one, and none is entered as a page.
TEST_F(HostileCrowd, FloodsTheBrokerWithFaultsOfOtherMemory) {
  ChildProcess child = crowd(64, "elsewhere");
  EXPECT_EQ(child.read_line(), "ready");
  child.write_line("go");
  EXPECT_EQ(child.read_line(kLimit), "flooding");
  for (int i = 0; i < 3; ++i) serve_somebody();
  EXPECT_EQ(stat().pages_allocated, 0u);
  child.kill(SIGKILL);
  child.wait();
}

}  // namespace
}  // namespace uarena::testing
