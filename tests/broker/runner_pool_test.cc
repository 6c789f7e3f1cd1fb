#include "broker/runner_pool.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <latch>
#include <vector>

namespace uarena::broker {
namespace {

struct Pair {
  Fd ours, theirs;
  Pair() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    ours.reset(ends[0]);
    theirs.reset(ends[1]);
  }
};

std::shared_ptr<RunClient> client(uint64_t id, uint32_t uid = 0) {
  auto c = std::make_shared<RunClient>();
  c->client_id = id;
  c->who.uid = uid;
  return c;
}

RunChannel channel(Fd socket, std::shared_ptr<RunClient> owner) {
  return {std::move(socket), std::move(owner), LedgerSlot(), EstateHold()};
}

// Answers a record with itself; "bye" ends the channel.
bool echo(RunChannel& channel, const Result<ipc::Record>&) {
  const int socket = channel.socket.get();
  char block[64];
  const ssize_t n = ::recv(socket, block, sizeof(block), MSG_DONTWAIT);
  if (n <= 0) return false;
  if (std::string_view(block, static_cast<size_t>(n)) == "bye") return false;
  return ::send(socket, block, static_cast<size_t>(n), MSG_NOSIGNAL) == n;
}

std::string ask(int socket, std::string_view text) {
  EXPECT_EQ(::send(socket, text.data(), text.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(text.size()));
  pollfd event{socket, POLLIN, 0};
  EXPECT_EQ(::poll(&event, 1, 10'000), 1);
  char block[64];
  const ssize_t n = ::recv(socket, block, sizeof(block), 0);
  return n > 0 ? std::string(block, static_cast<size_t>(n)) : "";
}

TEST(RunnerPool, AnswersEachChannelInOrder) {
  auto pool = RunnerPool::create({2, 4, 8}, echo);
  ASSERT_TRUE(pool);
  std::vector<Pair> pairs(8);
  for (size_t i = 0; i < pairs.size(); ++i)
    ASSERT_TRUE((*pool)->adopt(channel(std::move(pairs[i].theirs), client(i))));
  for (int round = 0; round < 20; ++round)
    for (Pair& pair : pairs)
      EXPECT_EQ(ask(pair.ours.get(), std::to_string(round)), std::to_string(round));
}

TEST(RunnerPool, ChannelEndsWhenTheHandlerSaysSo) {
  auto pool = RunnerPool::create({1, 1, 8}, echo);
  Pair pair;
  auto owner = client(1);
  ASSERT_TRUE((*pool)->adopt(channel(std::move(pair.theirs), owner)));
  EXPECT_EQ(ask(pair.ours.get(), "bye"), "");
  // The end of the socket is seen here after the pool has let go of the channel.
  EXPECT_EQ((*pool)->channels(), 0u);
  EXPECT_EQ(owner->channels.load(), 0u);
}

TEST(RunnerPool, DroppedClientLosesItsChannelsOnly) {
  auto pool = RunnerPool::create({2, 4, 8}, echo);
  Pair dropped, kept;
  auto gone = client(1);
  ASSERT_TRUE((*pool)->adopt(channel(std::move(dropped.theirs), gone)));
  ASSERT_TRUE((*pool)->adopt(channel(std::move(kept.theirs), client(2))));
  (*pool)->drop_client(1);
  EXPECT_TRUE(gone->gone.load());
  char byte;
  EXPECT_EQ(::recv(dropped.ours.get(), &byte, 1, 0), 0);
  EXPECT_EQ(ask(kept.ours.get(), "still here"), "still here");
}

// Every runner of the pool is busy, and yet another client is answered.
TEST(RunnerPool, GrowsWhileAllAreBusy) {
  std::latch busy(2), release(1);
  auto pool = RunnerPool::create({2, 8, 8}, [&](RunChannel& c, Result<ipc::Record> record) {
    if (c.client->client_id < 2) {
      char byte;
      if (::recv(c.socket.get(), &byte, 1, MSG_DONTWAIT) <= 0) return false;
      busy.count_down();
      release.wait();
      return false;
    }
    return echo(c, record);
  });
  std::vector<Pair> pairs(3);
  for (size_t i = 0; i < pairs.size(); ++i)
    ASSERT_TRUE((*pool)->adopt(channel(std::move(pairs[i].theirs), client(i))));
  for (int i = 0; i < 2; ++i) ASSERT_EQ(::send(pairs[i].ours.get(), "x", 1, 0), 1);
  busy.wait();
  EXPECT_EQ(ask(pairs[2].ours.get(), "hello"), "hello");
  EXPECT_GT((*pool)->threads(), 2u);
  release.count_down();
}

// Requests of one uid that do not end, until they are told to.
class Greedy {
 public:
  static constexpr uint32_t kUid = 1000;

  RunnerPool::Handler handler() {
    return [this](RunChannel& c, Result<ipc::Record> record) {
      const int socket = c.socket.get();
      if (c.client->who.uid != kUid) return echo(c, record);
      char byte;
      if (::recv(socket, &byte, 1, MSG_DONTWAIT) <= 0) return false;
      ++begun;
      begun.notify_all();
      release.wait();
      return ::send(socket, &byte, 1, MSG_NOSIGNAL) == 1;
    };
  }
  void wait_for(unsigned number) {
    for (unsigned n = begun; n < number; n = begun) begun.wait(n);
  }

  std::atomic<unsigned> begun{0};
  std::latch release{1};
};

TEST(RunnerPool, OneUidGetsItsShareAndNoMore) {
  Greedy greedy;
  auto pool = RunnerPool::create({1, 4, 3}, greedy.handler());
  std::vector<Pair> pairs(8);
  for (size_t i = 0; i < pairs.size(); ++i) {
    ASSERT_TRUE((*pool)->adopt(channel(std::move(pairs[i].theirs), client(i, Greedy::kUid))));
    ASSERT_EQ(::send(pairs[i].ours.get(), "x", 1, 0), 1);
  }
  greedy.wait_for(3);
  Pair other;
  ASSERT_TRUE((*pool)->adopt(channel(std::move(other.theirs), client(100, 1001))));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ask(other.ours.get(), "hello"), "hello");
  EXPECT_EQ(greedy.begun, 3u);
  // Those who waited are served when it is their turn, and their channels go on.
  greedy.release.count_down();
  for (int round = 0; round < 2; ++round) {
    for (Pair& pair : pairs) {
      char byte;
      if (round == 1) {
        ASSERT_EQ(::send(pair.ours.get(), "x", 1, 0), 1);
      }
      EXPECT_EQ(::recv(pair.ours.get(), &byte, 1, 0), 1);
    }
  }
  EXPECT_EQ(greedy.begun, 16u);
}

// A channel that waits for its uid's share holds nothing once its client has gone.
TEST(RunnerPool, AWaitingChannelGoesWithItsClient) {
  Greedy greedy;
  auto pool = RunnerPool::create({1, 4, 1}, greedy.handler());
  Pair busy, waiting, other;
  ASSERT_TRUE((*pool)->adopt(channel(std::move(busy.theirs), client(1, Greedy::kUid))));
  ASSERT_EQ(::send(busy.ours.get(), "x", 1, 0), 1);
  greedy.wait_for(1);
  ASSERT_TRUE((*pool)->adopt(channel(std::move(waiting.theirs), client(2, Greedy::kUid))));
  ASSERT_EQ(::send(waiting.ours.get(), "x", 1, 0), 1);
  ASSERT_TRUE((*pool)->adopt(channel(std::move(other.theirs), client(3, 1001))));
  EXPECT_EQ(ask(other.ours.get(), "after"), "after");
  (*pool)->drop_client(2);
  char byte;
  EXPECT_LE(::recv(waiting.ours.get(), &byte, 1, 0), 0);
  greedy.release.count_down();
  EXPECT_EQ(::recv(busy.ours.get(), &byte, 1, 0), 1);
  EXPECT_EQ(greedy.begun, 1u);
}

TEST(RunnerPool, StoppingWaitsSoLongAndNoLonger) {
  Greedy greedy;
  auto pool = RunnerPool::create({2, 4, 4}, greedy.handler());
  Pair pair;
  auto owner = client(1, Greedy::kUid);
  ASSERT_TRUE((*pool)->adopt(channel(std::move(pair.theirs), owner)));
  ASSERT_EQ(::send(pair.ours.get(), "x", 1, 0), 1);
  greedy.wait_for(1);
  EXPECT_FALSE((*pool)->stop(std::chrono::milliseconds(50)));
  EXPECT_TRUE(owner->gone);
  greedy.release.count_down();
  EXPECT_TRUE((*pool)->stop(std::chrono::seconds(10)));
}

}  // namespace
}  // namespace uarena::broker
