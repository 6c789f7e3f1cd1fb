// A client's memory cgroup is full. A page is charged to the group of whoever makes it: served ones
// to the broker's, those of direct arenas and of fault-around to the client's. So a client may have
// more served pages than its limit; where it has to pay itself, the kernel ends it, never silently.
// Nobody else is touched by that, and no page that was there is lost.
//
// The groups are children of this process's own, which needs the memory controller of cgroup v1: v2
// has no limits below a group with processes in it.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>

#include "tests/parity/in_child.h"
#include "tests/parity/touch.h"
#include "tests/support/broker_process.h"
#include "uarena.h"

namespace uarena::testing {
namespace {

constexpr uint32_t kPages = 8192;           // more than any limit here
constexpr uint64_t kLimit = 16 << 20;       // of a client, which has a few MiB of its own
constexpr unsigned kSecondsOfAClient = 60;  // then SIGALRM ends it

// Where this process's memory controller is; "" without one of v1.
std::string own_memory_group() {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t at = line.find(":memory:");
    if (at == line.npos) continue;
    const std::string path = "/sys/fs/cgroup/memory" + line.substr(at + strlen(":memory:"));
    if (::access((path + "/memory.oom_control").c_str(), W_OK) == 0) return path;
  }
  return "";
}

class MemoryGroup {
 public:
  MemoryGroup()
      : path_(own_memory_group() + "/uarena-test-" + std::to_string(::getpid())),
        made_(path_.front() == '/' && !own_memory_group().empty() &&
              ::mkdir(path_.c_str(), 0755) == 0) {}
  // Whoever was in it has ended, but perhaps only just.
  ~MemoryGroup() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (made_ && ::rmdir(path_.c_str()) != 0 && std::chrono::steady_clock::now() < end)
      ::sched_yield();
    EXPECT_NE(::access(path_.c_str(), F_OK), 0) << path_ << " stays";
  }
  MemoryGroup(const MemoryGroup&) = delete;

  bool made() const { return made_; }
  bool set(const char* file, uint64_t value) const {
    std::ofstream out(path_ + "/" + file);
    out << value << std::flush;
    return out.good();
  }
  bool limit(uint64_t bytes) const { return set("memory.limit_in_bytes", bytes); }
  // Without it whatever is no user's page fault gets ENOMEM.
  bool without_killer() const { return set("memory.oom_control", 1); }
  bool enter() const { return set("cgroup.procs", static_cast<uint64_t>(::getpid())); }
  bool has_killed() const {
    std::stringstream text;
    text << std::ifstream(path_ + "/memory.oom_control").rdbuf();
    return text.str().find("oom_kill 0") == std::string::npos;
  }

 private:
  std::string path_;
  bool made_;
};

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

}  // namespace
}  // namespace uarena::testing
