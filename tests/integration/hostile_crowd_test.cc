// Ten thousand threads that fault at once, a flood of faults that are none of the arena's, and a
// client that does nothing but fault: all are answered, others are served meanwhile, and nothing
// stays when the process is killed.
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "tests/integration/hostile_fixture.h"
#include "uffd/event_reader.h"

namespace uarena::testing {
namespace {

constexpr uint32_t kThreads = 10'000;
// All these threads are looked at one by one, on machines that do other things, too.
constexpr auto kLimit = std::chrono::seconds(60);

class HostileCrowd : public Hostile {
 protected:
  explicit HostileCrowd(std::vector<std::string> broker_arguments = {}, uint32_t pages = kThreads)
      : Hostile(std::move(broker_arguments)), pages_(pages) {}
  void SetUp() override { crowded_ = create("crowd", pages_); }
  void TearDown() override {
    remove(crowded_);
    Hostile::TearDown();
  }
  uarena_arena_info create(const char* name, uint32_t pages) {
    RawClient client(broker_.socket());
    EXPECT_TRUE(client.hello());
    return client.create(name, pages)->body.info;
  }
  void remove(const uarena_arena_info& arena) {
    EXPECT_TRUE(broker_.wait_until_alone());
    uarena_arena_ref ref{};
    ref.id = arena.id;
    RawClient client(broker_.socket());
    EXPECT_TRUE(client.hello());
    EXPECT_TRUE(client.ask<uarena_empty>(UARENA_MSG_ARENA_DELETE, ref));
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

  uint32_t pages_;
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

// --- a storm ---

// Far more threads than a turn answers faults, so that there is always another full turn's worth.
constexpr uint32_t kStorming = 256;
constexpr uint32_t kMeasured = 1000;
// A fault waits for the turn of the storm that goes on, perhaps for one more, and then its thread
// for a CPU, of which the storm has its share: two turns on an idle machine.
constexpr uint64_t kTurnsThatOneWaits = 5;

// Who makes everyone wait makes them wait on one thread.
class HostileStorm : public HostileCrowd {
 protected:
  HostileStorm() : HostileCrowd({"--fault-threads", "1"}, kStorming * 16 + 1) {}

  // How many faults of the storm were answered so far, as the storm counts them.
  class Counter {
   public:
    Counter(const BrokerProcess& broker, const uarena_arena_info& arena) {
      RawClient client(broker.socket());
      if (!client.hello()) throw std::runtime_error("hello");
      const auto attached = client.attach(arena.id);
      const auto last = static_cast<off_t>((arena.max_entries - 1) * kPageSize);
      page_ = ::mmap(nullptr, kPageSize, PROT_READ, MAP_SHARED, attached->fds.at(0).get(), last);
      if (page_ == MAP_FAILED) throw std::runtime_error("mmap");
    }
    ~Counter() { ::munmap(page_, kPageSize); }
    Counter(const Counter&) = delete;
    uint32_t now() const { return *static_cast<const std::atomic<uint32_t>*>(page_); }

   private:
    void* page_;
  };
};

// Answers come in turns. Counted, not timed: how many faults of the storm were answered while one
// of another client was. The mean of many, since anybody may be kept from running for a while, and
// a broker that goes on with the storm as long as there is one does so seldom, and for very long.
TEST_F(HostileStorm, AStormOfFaultsDelaysOthersByTurns) {
  const uarena_arena_info calm = create("calm", kMeasured);
  ChildProcess child = crowd(kStorming, "storm");
  EXPECT_EQ(child.read_line(kLimit), "ready");
  child.write_line("go");
  ASSERT_EQ(child.read_line(kLimit), "storming");
  constexpr uint64_t kAllowed = kMeasured * uffd::EventReader::kBatch * kTurnsThatOneWaits;
  uint64_t meanwhile = 0;
  {
    const Counter answered(broker_, crowded_);
    RawClient client(broker_.socket());
    ASSERT_TRUE(client.hello());
    const auto attached = client.attach(calm.id);
    const ArenaMapping mapping(attached->fds.at(0).get(), calm);
    ASSERT_TRUE(client.ready(calm.id, RawClient::userfaultfd()));
    for (uint32_t page = 0; page < kMeasured && meanwhile <= kAllowed; ++page) {
      const uint32_t before = answered.now();
      *mapping.page(page) = 1;
      meanwhile += answered.now() - before;
    }
  }
  RecordProperty("faults_of_the_storm_for_one", static_cast<int>(meanwhile / kMeasured));
  EXPECT_GT(meanwhile, 0u) << "there was a storm";
  EXPECT_LE(meanwhile, kAllowed);
  child.kill(SIGKILL);
  child.wait();
  remove(calm);
}

}  // namespace
}  // namespace uarena::testing
