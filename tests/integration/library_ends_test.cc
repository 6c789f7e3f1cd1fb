// How things end: clients that are killed at any moment, a broker that is, programs that run while
// others fault, unload and go.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <random>
#include <thread>

#include "tests/integration/library_fixture.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;

class LibraryEnds : public LibraryFixture {
 protected:
  // long_run.bpf.c, loaded, with its globals in sight, and a thread that runs it.
  struct Running {
    Conn conn;
    uarena_prog program;
    volatile char* base = nullptr;
    LongRun* globals = nullptr;
    std::thread thread;
    int result = 1;
    int why = -1;
    int32_t retval = -1;
    std::string error;
    ~Running() {
      if (!thread.joinable()) return;
      globals->stop = 1;
      thread.join();
    }
  };
  void start(Running& run) {
    run.conn = connect();
    run.program = load(run.conn, "long_run").at(0);
    run.base = attach(run.conn, run.program.arena_id);
    run.globals = reinterpret_cast<LongRun*>(const_cast<char*>(run.base));
    run.thread = std::thread([this, &run] {
      const Conn own = connect();
      // A run ends after 250 ms; on a machine that busy there has to be another one.
      do run.result = uarena_prog_run(own.get(), run.program.id, nullptr, 0, &run.retval, nullptr);
      while (run.result == 0 && run.globals->stop == 0);
      run.why = uarena_why();
      run.error = uarena_error();
    });
    ASSERT_TRUE(wait_until([&] { return run.globals->turns > 0; }));
  }
};

TEST_F(LibraryEnds, ClientsKilledAtAnyMoment) {
  constexpr int kRounds = 60;
  const Conn conn = connect();
  const uarena_info arena = create(conn, "heap", 2048);
  const std::vector<uarena_prog> programs = load(conn, "list", arena.id);
  const auto subject = [&] {
    return ChildProcess({UARENA_BIN_DIR "/../tests/subject", broker_.socket(), "heap", "busy",
                         std::to_string(programs.at(0).id)});
  };
  Resources before;
  std::mt19937 random(20261122);
  for (int round = 0; round < kRounds; round++) {
    ChildProcess victim = subject();
    // A round of the client is 16 steps: this ends in the first, the second or the third.
    for (unsigned steps = std::uniform_int_distribution<unsigned>(0, 40)(random); steps > 0;
         steps--)
      ASSERT_EQ(victim.read_bytes(1), ".") << "round " << round;
    victim.kill(SIGKILL);
    EXPECT_EQ(victim.wait(), SIGKILL);
    if (round == 4) {  // what is made once has been made
      ASSERT_TRUE(wait_until([&] { return stat(conn, arena.id).clients == 0; }));
      before = broker_.resources();
    }
  }
  EXPECT_TRUE(wait_until([&] { return stat(conn, arena.id).clients == 0; }));
  EXPECT_TRUE(broker_.wait_for_resources(before));
  EXPECT_EQ(stat(conn, arena.id).programs, programs.size());
  // And all goes on for those who live.
  volatile char* base = attach(conn, arena.id);
  *page(base, 2000) = 1;
  EXPECT_EQ(uarena_free(conn.get(), arena.id, at(base, 0), 2048), 0);
  EXPECT_EQ(stat(conn, arena.id).pages_allocated, 0u);
}

TEST_F(LibraryEnds, ThreadsFaultWhileAProgramRuns) {
  Running run;
  start(run);
  if (HasFatalFailure()) return;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 2; t++)
    threads.emplace_back([&run, t] {
      for (unsigned i = 1 + t; i < 64; i += 2) *page(run.base, i) = static_cast<char>(i);
    });
  for (std::thread& thread : threads) thread.join();
  for (unsigned i = 1; i < 64; i++) EXPECT_EQ(*page(run.base, i), static_cast<char>(i));
  EXPECT_EQ(stat(run.conn, run.program.arena_id).pages_allocated, 64u);
  run.globals->stop = 7;  // the program sees what the client writes
  run.thread.join();
  EXPECT_EQ(run.result, 0) << run.error;
  EXPECT_TRUE(run.retval == 7 || run.retval == 0) << run.retval;  // 0: 250 ms were over before
}

// Requests on the control connection do not wait for a run on the same connection.
TEST_F(LibraryEnds, OneConnectionForTwoThreads) {
  const Conn conn = connect();
  const uarena_prog program = load(conn, "long_run").at(0);
  const uarena_info other = create(conn, "other", 16);
  volatile char* base = attach(conn, program.arena_id);
  auto* globals = reinterpret_cast<LongRun*>(const_cast<char*>(base));
  bool answered_meanwhile = false;
  // A run is over after 250 ms, which may be too short for a busy machine.
  for (int i = 0; i < 6 && !answered_meanwhile; i++) {
    std::atomic<bool> ended = false;
    globals->turns = 0;
    globals->stop = 0;
    std::thread thread([&] {
      EXPECT_EQ(uarena_prog_run(conn.get(), program.id, nullptr, 0, nullptr, nullptr), 0);
      ended = true;
    });
    EXPECT_TRUE(wait_until([&] { return globals->turns > 0; }));
    *page(attach(conn, other.id), 3) = 1;
    EXPECT_EQ(stat(conn, other.id).pages_allocated, 1u);
    EXPECT_EQ(uarena_detach(conn.get(), other.id), 0);
    answered_meanwhile = !ended;
    globals->stop = 1;
    thread.join();
  }
  EXPECT_TRUE(answered_meanwhile);
}

TEST_F(LibraryEnds, UnloadWhileItRunsElsewhere) {
  Running run;
  start(run);
  if (HasFatalFailure()) return;
  const uint64_t arena = run.program.arena_id;
  EXPECT_EQ(uarena_prog_unload(run.conn.get(), run.program.id), 0) << uarena_error();
  EXPECT_EQ(uarena_prog_unload(run.conn.get(), run.program.id), -ENOENT);
  EXPECT_EQ(uarena_prog_run(run.conn.get(), run.program.id, nullptr, 0, nullptr, nullptr), -ENOENT);
  run.globals->stop = 1;
  run.thread.join();
  // It ran to its end; where that came by itself, there was no next time.
  EXPECT_THAT(run.result, ::testing::AnyOf(0, -ENOENT)) << run.error;
  EXPECT_EQ(uarena_detach(run.conn.get(), arena), 0);
  EXPECT_EQ(uarena_delete(run.conn.get(), arena), 0) << uarena_error();
}

TEST_F(LibraryEnds, BrokerKilledWhileAProgramRuns) {
  Running run;
  start(run);
  if (HasFatalFailure()) return;
  ::kill(broker_.pid(), SIGKILL);
  run.thread.join();
  EXPECT_EQ(run.result, -ECONNRESET);
  EXPECT_EQ(run.why, kWhyUnreachable);
  EXPECT_THAT(run.error, HasSubstr("outcome unknown"));
}

TEST_F(LibraryEnds, BrokerKilledUnderAnAttachment) {
  const Conn conn = connect();
  const uarena_info arena = create(conn, "heap", 16);
  volatile char* base = attach(conn, arena.id);
  *page(base, 1) = 5;
  ::kill(broker_.pid(), SIGKILL);
  ASSERT_TRUE(wait_until([&] { return !broker_.alive(); }));
  uarena_info info{};
  for (int i = 0; i < 2; i++) {
    EXPECT_THAT(uarena_stat(conn.get(), arena.id, &info), ::testing::AnyOf(-EPIPE, -ECONNRESET));
    EXPECT_EQ(uarena_why(), kWhyUnreachable);
    EXPECT_STRNE(uarena_error(), "");
    EXPECT_LT(uarena_prefault(conn.get(), arena.id, at(base, 2), 1), 0);
    EXPECT_EQ(uarena_why(), kWhyUnreachable);
  }
  EXPECT_EQ(*page(base, 1), 5);  // what is there stays readable
  uarena_conn* another = nullptr;
  EXPECT_EQ(uarena_connect(broker_.socket().c_str(), &another), -ECONNREFUSED);
  EXPECT_EQ(uarena_why(), kWhyUnreachable);
  EXPECT_EQ(uarena_detach(conn.get(), arena.id), 0);
}

// The command's run under way ends with exit code 5 and says that nobody knows.
TEST_F(LibraryEnds, BrokerKilledUnderTheCommand) {
  const Conn conn = connect();
  const uarena_prog program = load(conn, "long_run").at(0);
  volatile char* base = attach(conn, program.arena_id);
  auto* globals = reinterpret_cast<LongRun*>(const_cast<char*>(base));
  ChildProcess command({UARENA_BIN_DIR "/uarena", "-j", "-s", broker_.socket(), "prog", "run",
                        std::to_string(program.id), "--repeat", "1000"});
  ASSERT_TRUE(wait_until([&] { return globals->turns > 0; }));
  ::kill(broker_.pid(), SIGKILL);
  const int status = command.wait();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 5);
  const auto answer = boost::json::parse(command.read_all()).as_object();
  EXPECT_EQ(answer.at("exit_code").as_int64(), 5);
  EXPECT_EQ(answer.at("errno").as_int64(), ECONNRESET);
  EXPECT_THAT(std::string(answer.at("error").as_string()), HasSubstr("outcome unknown"));
}

// A client that goes away while its program is repeated: the broker stops repeating.
TEST_F(LibraryEnds, RepetitionEndsWithItsClient) {
  const Conn conn = connect();
  const uarena_prog program = load(conn, "long_run").at(0);
  volatile char* base = attach(conn, program.arena_id);
  auto* globals = reinterpret_cast<LongRun*>(const_cast<char*>(base));
  ChildProcess command({UARENA_BIN_DIR "/uarena", "-s", broker_.socket(), "prog", "run",
                        std::to_string(program.id), "--repeat", "1000000"});
  ASSERT_TRUE(wait_until([&] { return globals->turns > 0; }));
  command.kill(SIGKILL);
  EXPECT_EQ(command.wait(), SIGKILL);
  EXPECT_EQ(uarena_prog_unload(conn.get(), program.id), 0);
  EXPECT_EQ(uarena_detach(conn.get(), program.arena_id), 0);
  // The arena is free as soon as the turn under way, of at most 250 ms, is over.
  EXPECT_TRUE(wait_until([&] { return uarena_delete(conn.get(), program.arena_id) == 0; }));
}

}  // namespace
}  // namespace uarena::testing
