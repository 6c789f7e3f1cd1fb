// Programs that run at the same time, for several clients, on the same words: nothing is lost, in
// compiled code and in the interpreter; and a program goes away while others still run it.
#include <gtest/gtest.h>
#include <uarena.h>

#include <atomic>
#include <cstring>
#include <set>
#include <thread>

#include "ipc/base/result.h"
#include "tests/bpf/contexts.h"
#include "tests/support/broker_process.h"

namespace uarena::testing {
namespace {

constexpr int kWorkers = 8;
constexpr int kRuns = 40;
constexpr uint64_t kTurns = 200;

struct Close {
  void operator()(uarena_conn* conn) const { uarena_close(conn); }
};
using Connection = std::unique_ptr<uarena_conn, Close>;

class ConcurrentRuns : public ::testing::TestWithParam<const char*> {
 protected:
  Connection connect() {
    uarena_conn* conn = nullptr;
    EXPECT_EQ(uarena_connect(broker_.socket().c_str(), &conn), 0) << uarena_error();
    return Connection(conn);
  }
  // Loads the object with the command, which knows about the interpreter.
  void load() {
    std::vector<std::string> argv{std::string(UARENA_BIN_DIR) + "/uarena", "-s", broker_.socket(),
                                  "prog", "load"};
    if (std::strlen(GetParam()) > 0) argv.push_back(GetParam());
    argv.push_back(std::string(UARENA_BPF_DIR) + "/stress.bpf.o");
    const RunOutput output = run_command(argv);
    ASSERT_EQ(output.exit_code(), 0) << output.err;
  }
  static constexpr uint64_t kWork = 1, kLook = 2;  // ids: in the order of the object

  static int run(uarena_conn* conn, uint64_t program, stress_ctx* context) {
    int32_t retval = -1;
    const int error = uarena_prog_run(conn, program, context, sizeof *context, &retval, nullptr);
    return error != 0 ? error : retval;
  }

  BrokerProcess broker_;
};

TEST_P(ConcurrentRuns, NothingIsLost) {
  load();
  std::atomic<uint64_t> fetched{0}, taken{0};
  std::vector<std::thread> workers;
  for (uint64_t id = 1; id <= kWorkers; ++id)
    workers.emplace_back([&, id] {
      const Connection conn = connect();
      for (int n = 0; n < kRuns; ++n) {
        stress_ctx context{};
        context.id = id;
        context.turns = kTurns;
        ASSERT_EQ(run(conn.get(), kWork, &context), 0) << uarena_error();
        EXPECT_EQ(context.wrong, 0u);
        fetched += context.sum;
        taken += context.taken;
      }
    });
  for (std::thread& worker : workers) worker.join();

  constexpr uint64_t kAll = uint64_t{kWorkers} * kRuns * kTurns;
  stress_ctx found{};
  ASSERT_EQ(run(connect().get(), kLook, &found), 0);
  EXPECT_EQ(found.added, kAll);
  EXPECT_EQ(found.fetched, kAll);
  EXPECT_EQ(found.compared, kAll);
  EXPECT_EQ(found.in_map, kAll);
  EXPECT_EQ(found.guarded, kAll);
  EXPECT_EQ(found.wrong, 0u);
  // Each number came out of fetch_add once, each node is in the list once, and what was put into
  // the exchanged word was taken out by somebody, but for the last.
  EXPECT_EQ(fetched, kAll * (kAll - 1) / 2);
  EXPECT_EQ(found.nodes, kAll);
  EXPECT_EQ(found.owners, kAll / kWorkers * (kWorkers * (kWorkers + 1) / 2));
  uint64_t put = 0;
  for (uint64_t id = 1; id <= kWorkers; ++id)
    put += kRuns * (kTurns * id * 1000 + kTurns * (kTurns - 1) / 2);
  EXPECT_EQ(taken + found.last_exchanged, put);
}

TEST_P(ConcurrentRuns, AProgramIsUnloadedWhileOthersRunIt) {
  for (int round = 0; round < 5; ++round) {
    const Connection conn = connect();
    uarena_prog programs[2];
    const std::string object = std::string(UARENA_BPF_DIR) + "/stress.bpf.o";
    const int count = uarena_prog_load(conn.get(), object.c_str(), 0, programs, 2);
    ASSERT_EQ(count, 2) << uarena_error();
    std::atomic<int> done{0};
    std::vector<std::thread> workers;
    for (uint64_t id = 1; id <= kWorkers; ++id)
      workers.emplace_back([&, id] {
        const Connection own = connect();
        for (;;) {
          stress_ctx context{};
          context.id = id;
          context.turns = kTurns;
          const int error = run(own.get(), programs[0].id, &context);
          done.fetch_add(1);
          done.notify_one();
          if (error == -ENOENT) return;  // it is gone
          ASSERT_TRUE(error == 0 || error == -ENOMEM) << error << uarena_error();
          EXPECT_EQ(context.wrong, 0u);
        }
      });
    for (int seen = 0; seen < 2 * kWorkers; seen = done) done.wait(seen);
    ASSERT_EQ(uarena_prog_unload(conn.get(), programs[0].id), 0) << uarena_error();
    for (std::thread& worker : workers) worker.join();
    ASSERT_EQ(uarena_prog_unload(conn.get(), programs[1].id), 0);
    ASSERT_EQ(uarena_delete(conn.get(), programs[0].arena_id), 0) << uarena_error();
  }
  EXPECT_TRUE(broker_.alive());
}

INSTANTIATE_TEST_SUITE_P(Executors, ConcurrentRuns, ::testing::Values("", "--interpret"),
                         [](const auto& param) {
                           return std::strlen(param.param) > 0 ? "Interpreted" : "Compiled";
                         });

}  // namespace
}  // namespace uarena::testing
