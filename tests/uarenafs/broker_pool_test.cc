// Connections to a broker that goes, hangs and comes back.
#include "tools/uarenafs/broker_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <thread>

#include "tests/ipc/scripted_broker.h"

namespace uarena::inspectfs {
namespace {

using ipc::testing::refuse_with;
using ipc::testing::reply_with;
using ipc::testing::ScriptedBroker;
using std::chrono::milliseconds;

ScriptedBroker::Answer started_at(uint64_t ns) {
  uarena_status_reply status{};
  status.started_ns = ns;
  return reply_with(status);
}

ScriptedBroker::Answer one_arena(uint64_t id) {
  uarena_arena_reply reply{};
  reply.info.id = id;
  return reply_with(reply);
}

class BrokerPoolTest : public ::testing::Test {
 protected:
  BrokerPoolTest() : broker_(std::make_unique<ScriptedBroker>()) {
    broker_->on(UARENA_MSG_STATUS, started_at(100));
    broker_->on(UARENA_MSG_ARENA_GET, one_arena(1));
    pool_ = std::make_unique<BrokerPool>(broker_->path(), milliseconds(100));
  }
  // The arena's id and the epoch in which it was asked for.
  Result<std::pair<uint64_t, uint64_t>> ask() {
    return pool_->ask(
        [&](ipc::Inspector& broker, uint64_t epoch) -> Result<std::pair<uint64_t, uint64_t>> {
          auto info = broker.arena("heap");
          if (!info) return std::unexpected(info.error());
          return std::pair(info->id, epoch);
        });
  }
  long connections() {
    const auto log = broker_->log();
    return std::ranges::count(log, UARENA_MSG_HELLO);
  }

  std::unique_ptr<ScriptedBroker> broker_;
  std::unique_ptr<BrokerPool> pool_;
};

TEST_F(BrokerPoolTest, OneConnectionServesOneThread) {
  for (int i = 0; i < 5; ++i) EXPECT_EQ(*ask(), std::pair(uint64_t{1}, uint64_t{100}));
  EXPECT_EQ(connections(), 1);
}

// Three at a time get three connections: nobody waits for another one's answer.
TEST_F(BrokerPoolTest, ThreadsDoNotWaitForEachOther) {
  std::latch all_asked(3);
  broker_->on(UARENA_MSG_ARENA_GET, [&](ipc::Request& request) {
    all_asked.arrive_and_wait();
    return one_arena(1)(request);
  });
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { EXPECT_TRUE(ask()); });
  threads.clear();
  EXPECT_EQ(connections(), 3);
}

TEST_F(BrokerPoolTest, NoSuchThingIsAnAnswer) {
  broker_->on(UARENA_MSG_ARENA_GET, refuse_with({ENOENT, "no", Why::not_found}));
  EXPECT_EQ(ask().error().code, ENOENT);
  EXPECT_EQ(ask().error().code, ENOENT);
  EXPECT_EQ(connections(), 1);
  broker_->on(UARENA_MSG_ARENA_GET, one_arena(1));
  EXPECT_TRUE(ask());
}

TEST_F(BrokerPoolTest, NonsenseEndsTheConnectionOnly) {
  broker_->on(UARENA_MSG_ARENA_GET, [](ipc::Request& request) {
    return ipc::make_error(request.seq + 1, {EINVAL, "of another request"});
  });
  EXPECT_FALSE(ask());
  broker_->on(UARENA_MSG_ARENA_GET, one_arena(1));
  EXPECT_TRUE(ask());
  EXPECT_EQ(connections(), 2);
}

TEST_F(BrokerPoolTest, ALostConnectionIsMadeAnew) {
  EXPECT_TRUE(ask());
  std::atomic<int> left = 1;  // closes one connection under a request
  broker_->on(UARENA_MSG_ARENA_GET, [&](ipc::Request& request) -> std::optional<ipc::Record> {
    if (left-- > 0) return std::nullopt;
    return one_arena(1)(request);
  });
  EXPECT_TRUE(ask());
  EXPECT_EQ(connections(), 2);
  // One that closes every time is no broker; it is asked on one new connection, not for ever.
  left = 1000;
  const auto refused = ask();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().why, Why::unreachable);
  EXPECT_NE(refused.error().code, ETIMEDOUT);
  EXPECT_EQ(connections(), 3);
}

TEST_F(BrokerPoolTest, AnotherBrokerIsAnotherEpoch) {
  EXPECT_EQ(ask()->second, 100u);
  const std::string path = broker_->path();
  broker_->die();
  EXPECT_EQ(ask().error().why, Why::unreachable);
  auto second = std::make_unique<ScriptedBroker>();
  second->on(UARENA_MSG_STATUS, started_at(200));
  second->on(UARENA_MSG_ARENA_GET, one_arena(2));
  ASSERT_EQ(::rename(second->path().c_str(), path.c_str()), 0);
  EXPECT_EQ(*ask(), std::pair(uint64_t{2}, uint64_t{200}));
}

TEST_F(BrokerPoolTest, ABrokerThatHangsCostsOneWait) {
  std::promise<void> over;
  EXPECT_TRUE(ask());
  broker_->on(UARENA_MSG_ARENA_GET, [wait = over.get_future().share()](ipc::Request& request) {
    wait.wait();
    return one_arena(1)(request);
  });
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  EXPECT_EQ(ask().error().code, ETIMEDOUT);
  const auto first = Clock::now();
  EXPECT_GE(first - begin, milliseconds(100));
  // Nobody tries again so soon: a hundred such waits would be 10 s.
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ask().error().code, ETIMEDOUT);
  EXPECT_LT(Clock::now() - first, BrokerPool::kQuiet);
  EXPECT_EQ(connections(), 1);
  over.set_value();
  broker_->on(UARENA_MSG_ARENA_GET, one_arena(1));
  const auto limit = Clock::now() + std::chrono::seconds(10);
  while (!ask() && Clock::now() < limit) std::this_thread::yield();
  EXPECT_TRUE(ask());
}

}  // namespace
}  // namespace uarena::inspectfs
