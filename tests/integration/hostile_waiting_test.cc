// Clients that make the kernel wait for them: they keep a lock that a call of the broker needs, or
// all the threads that it has. Others are served meanwhile, and the broker stops when it is told
// to.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "tests/support/bpf_objects.h"
#include "tests/support/broker_process.h"
#include "tests/support/good_client.h"
#include "tests/support/hanging_writer.h"
#include "tests/support/raw_client.h"

namespace uarena::testing {
namespace {

constexpr uid_t kNobody = 65534;

Fd memfd_with(std::span<const std::byte> bytes) {
  Fd file(::memfd_create("object", MFD_CLOEXEC));
  EXPECT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return file;
}

class HostileWaiting : public ::testing::Test {
 protected:
  // One fault thread: who waits on it makes everyone wait.
  HostileWaiting() : broker_({"--fault-threads", "1"}) {
    RawClient client(broker_.socket());
    EXPECT_TRUE(client.hello());
    info_ = client.create("heap", 1024)->body.info;
    segv_ = client.create("segv", 1024, kBpfFSegvOnFault)->body.info;
    others_ = client.create("others", 1024)->body.info;
    ::chmod(broker_.socket().substr(0, broker_.socket().rfind('/')).c_str(), 0755);
  }
  ~HostileWaiting() override {
    if (!broker_.alive()) return;
    serve_somebody();
    EXPECT_TRUE(broker_.wait_until_alone()) << broker_.log();
    EXPECT_EQ(broker_.stop(), 0) << broker_.log();
  }

  // A good client is served, and another one asks on a run channel, and has its answer within ten
  // seconds.
  void serve_somebody() {
    expect_served(broker_, "others");
    RawClient client(broker_.socket());
    EXPECT_TRUE(client.hello());
    uarena_page_list list{};
    list.arena_id = others_.id;
    EXPECT_TRUE(run_channel(client).ask<uarena_text_reply>(UARENA_MSG_PAGE_LIST, list));
  }

  // As another user, whom the kernel names as the socket's other end. This thread only: seteuid(3)
  // would ask the others, too, and one of them may hang in a write.
  RawClient connect_as_nobody() {
    EXPECT_EQ(::syscall(SYS_setresuid, -1, kNobody, -1), 0);
    RawClient client(broker_.socket());
    EXPECT_EQ(::syscall(SYS_setresuid, -1, 0, -1), 0);
    EXPECT_TRUE(client.hello());
    return client;
  }
  // Threads of the broker inside a system call.
  int threads_inside(int number) const {
    int found = 0;
    const std::filesystem::path tasks = fmt::format("/proc/{}/task", broker_.pid());
    for (const auto& task : std::filesystem::directory_iterator(tasks)) {
      int call = -1;
      std::ifstream(task.path() / "syscall") >> call;
      found += call == number;
    }
    return found;
  }
  void wait_until_freeing(int threads) const { wait_until_inside(SYS_fallocate, threads); }
  void wait_until_inside(int number, int threads) const {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (threads_inside(number) < threads) {
      ASSERT_LT(std::chrono::steady_clock::now(), limit) << threads_inside(number);
      ::sched_yield();
    }
  }
  RawClient run_channel(RawClient& client) {
    return RawClient(std::move(client.run_channel()->fds.at(0)));
  }

  BrokerProcess broker_;
  uarena_arena_info info_{}, segv_{}, others_{};
};

class LockHolder {
 public:
  LockHolder(const BrokerProcess& broker, const uarena_arena_info& arena)
      : child_({UARENA_BIN_DIR "/../tests/lock_holder", broker.socket(), std::to_string(arena.id),
                std::to_string(arena.user_vm_start), std::to_string(arena.max_entries),
                directory_.path()}) {
    EXPECT_EQ(child_.read_line(), "attached");
  }
  // Its end writes the dirty page back, and would wait for a server that is ended by its end.
  ~LockHolder() { tell("end-server"); }
  void tell(const std::string& word) {
    child_.write_line(word);
    EXPECT_EQ(child_.read_line(), "ok") << word;
  }
  // A thread of it.
  bool waits_for_a_fault() const {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < limit)
      for (const auto& task :
           std::filesystem::directory_iterator(fmt::format("/proc/{}/task", child_.pid()))) {
        std::string where;
        std::getline(std::ifstream(task.path() / "wchan"), where);
        if (where.find("userfault") != std::string::npos) return true;
      }
    return false;
  }

 private:
  TempDir directory_;
  ChildProcess child_;
};

// Bringing pages around a fault waits for the lock of its mapping, on a thread that waits for this
// client only; it ends with the client, and whatever the client does about it.
TEST_F(HostileWaiting, KeepsItsMappingLockedWhilePagesAreBrought) {
  RawClient client(broker_.socket());
  ASSERT_TRUE(client.hello());
  uarena_arena_create body{};
  body.map_type = kBpfMapTypeArena;
  body.max_entries = 1024;
  body.map_flags = kBpfFMmapable;
  body.fault_around = 16;
  const auto made = client.ask<uarena_arena_reply>(UARENA_MSG_ARENA_CREATE, body, "around");
  ASSERT_TRUE(made);
  LockHolder holder(broker_, made->body.info);
  holder.tell("ready");
  holder.tell("answer");
  ::kill(broker_.pid(), SIGSTOP);
  siginfo_t stopped{};  // every thread of it
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(broker_.pid()), &stopped, WSTOPPED), 0);
  holder.tell("touch");
  ASSERT_TRUE(holder.waits_for_a_fault());
  holder.tell("lock-arena");
  ::kill(broker_.pid(), SIGCONT);
  wait_until_inside(SYS_ioctl, 1);
  serve_somebody();
  uarena_page_list list{};
  list.arena_id = made->body.info.id;
  EXPECT_TRUE(run_channel(client).ask<uarena_text_reply>(UARENA_MSG_PAGE_LIST, list));
  holder.tell("shutdown");
  EXPECT_TRUE(broker_.wait_for_log("event=client.gone")) << broker_.log();
  serve_somebody();
  holder.tell("release");
}

// Registering its range waits for its lock.
TEST_F(HostileWaiting, KeepsItsMemoryLockedWhileItAttaches) {
  LockHolder holder(broker_, info_);
  holder.tell("lock");
  holder.tell("ready");
  serve_somebody();
  holder.tell("release");
  holder.tell("answer");
}

// Closing this descriptor waits for a server that is stopped: this client's answer comes after
// that, and nobody else's.
TEST_F(HostileWaiting, HandsOverAFileOfAFileSystemThatDoesNotAnswer) {
  LockHolder holder(broker_, info_);
  LockHolder leaves(broker_, info_);
  holder.tell("ready-file");
  leaves.tell("ready-file");
  serve_somebody();
  leaves.tell("shutdown");
  EXPECT_TRUE(broker_.wait_for_log("event=client.gone")) << broker_.log();
  serve_somebody();
  holder.tell("end-server");
  holder.tell("refused");
}

// Unregistering it and closing the userfaultfd wait, too.
TEST_F(HostileWaiting, KeepsItsMemoryLockedWhenItLeaves) {
  LockHolder holder(broker_, info_);
  holder.tell("ready");
  holder.tell("answer");
  holder.tell("lock");
  holder.tell("shutdown");
  EXPECT_TRUE(broker_.wait_for_log("event=client.gone")) << broker_.log();
  serve_somebody();
  holder.tell("release");
}

// It does not take its SIGSEGV, so its page is poisoned. (Kernels since 6.9 need the lock of the
// one mapping for that, if nobody changes it at that moment, and older ones that of the whole
// process.)
TEST_F(HostileWaiting, KeepsItsMemoryLockedWhileItFaults) {
  LockHolder holder(broker_, segv_);
  holder.tell("ready");
  holder.tell("answer");
  holder.tell("lock");
  holder.tell("fault");
  serve_somebody();
  holder.tell("release");
}

TEST_F(HostileWaiting, KeepsItsMemoryLockedWhenTheBrokerStops) {
  LockHolder holder(broker_, info_);
  holder.tell("ready");
  holder.tell("answer");
  ChildProcess other({UARENA_BIN_DIR "/toucher", "others", "--hold"},
                     {"UARENA_SOCKET=" + broker_.socket()});
  EXPECT_NE(other.read_line().find("base="), std::string::npos);
  holder.tell("lock");
  ::kill(broker_.pid(), SIGTERM);
  EXPECT_TRUE(broker_.wait_for_log("event=daemon.stopped")) << broker_.log();
  EXPECT_NE(broker_.log().find("event=daemon.hangs runs=false timers=false memory_locks=true"),
            std::string::npos)
      << broker_.log();
  EXPECT_NE(::access(broker_.socket().c_str(), F_OK), 0);
  other.write_line("write 1000 77");  // its faults go on without a broker
  EXPECT_NE(other.read_line().find("ok"), std::string::npos);
  holder.tell("release");  // the process can't end before, whatever it does
  EXPECT_EQ(broker_.stop(), 0);
}

// Programs of one user that take as long as they may, on more channels than there are threads.
TEST_F(HostileWaiting, RunsOfOneUserLeaveRunnersToOthers) {
  RawClient loader(broker_.socket());
  ASSERT_TRUE(loader.hello());
  RawClient load = run_channel(loader);
  uarena_prog_load request{};
  auto loaded = load.ask<uarena_prog_load_reply>(UARENA_MSG_PROG_LOAD, request, "long",
                                                 memfd_with(read_bpf_object("long_run")));
  ASSERT_TRUE(loaded) << loaded.error().error.message;
  uarena_prog_run run{};
  run.prog_id = 1;
  run.repeat = 1'000'000;
  const ipc::Record record = ipc::make_request(UARENA_MSG_PROG_RUN, 1, run);
  std::vector<RawClient> clients, channels;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(connect_as_nobody());
    for (int n = 0; n < 8; ++n) {
      channels.push_back(run_channel(clients.back()));
      channels.back().send(record);
    }
  }
  serve_somebody();
  clients.clear();  // who has gone waits for nothing: the loops end
  channels.clear();
  serve_somebody();
}

// Frees that wait for the inode lock of a file which the client holds.
TEST_F(HostileWaiting, FreesThatHangLeaveRunnersToOthers) {
  RawClient client = connect_as_nobody();
  const uarena_arena_info theirs = client.create("theirs", 1024)->body.info;
  const Fd file = std::move(client.attach(theirs.id)->fds.at(0));
  HangingWriter writer(file.get(), 8);
  std::vector<RawClient> clients, channels;
  uarena_page_op free{};
  free.arena_id = theirs.id;
  free.addr = theirs.user_vm_start;
  free.page_cnt = 1;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(connect_as_nobody());
    for (int n = 0; n < 8; ++n) {
      channels.push_back(run_channel(clients.back()));
      channels.back().send(ipc::make_request(UARENA_MSG_PAGE_FREE, 1, free));
      free.addr += kPageSize;
    }
  }
  wait_until_freeing(16);
  serve_somebody();
  clients.clear();
  channels.clear();
  serve_somebody();
  EXPECT_EQ(threads_inside(SYS_fallocate), 16);
  writer.let_go();
  client.close();
}

TEST_F(HostileWaiting, AFreeThatHangsDoesNotKeepTheBrokerFromStopping) {
  RawClient client(broker_.socket());
  ASSERT_TRUE(client.hello());
  const Fd file = std::move(client.attach(info_.id)->fds.at(0));
  HangingWriter writer(file.get(), 8);
  RawClient run = run_channel(client);
  uarena_page_op free{};
  free.arena_id = info_.id;
  free.addr = info_.user_vm_start;
  free.page_cnt = 1;
  run.send(ipc::make_request(UARENA_MSG_PAGE_FREE, 1, free));
  wait_until_freeing(1);
  ::kill(broker_.pid(), SIGTERM);
  EXPECT_TRUE(broker_.wait_for_log("event=daemon.stopped", std::chrono::seconds(30)))
      << broker_.log();
  EXPECT_NE(broker_.log().find("event=daemon.hangs runs=true timers=false memory_locks=false"),
            std::string::npos)
      << broker_.log();
  EXPECT_NE(::access(broker_.socket().c_str(), F_OK), 0);
  writer.let_go();  // the process can't end before, whatever it does
  EXPECT_EQ(broker_.stop(), 0);
}

// Only memory is read: the broker waits for no disk and for nobody's file system.
TEST_F(HostileWaiting, ObjectsComeInMemory) {
  RawClient client(broker_.socket());
  ASSERT_TRUE(client.hello());
  RawClient run = run_channel(client);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  std::vector<Fd> wrong;
  wrong.emplace_back(ends[0]);
  wrong.emplace_back(ends[1]);
  wrong.emplace_back(::open(UARENA_BPF_DIR "/long_run.bpf.o", O_RDONLY | O_CLOEXEC));
  for (Fd& fd : wrong) {
    auto refused = run.ask<uarena_prog_load_reply>(UARENA_MSG_PROG_LOAD, uarena_prog_load{},
                                                   "object", std::move(fd));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().error.code, EINVAL);
    EXPECT_NE(refused.error().error.message.find("no memfd"), std::string::npos);
  }
}

}  // namespace
}  // namespace uarena::testing
