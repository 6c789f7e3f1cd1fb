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

std::shared_ptr<RunClient> client(uint64_t id) {
  auto c = std::make_shared<RunClient>();
  c->client_id = id;
  return c;
}

// Answers a record with itself; "bye" ends the channel.
bool echo(int socket, RunClient&) {
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
  auto pool = RunnerPool::create(2, 4, echo);
  ASSERT_TRUE(pool);
  std::vector<Pair> pairs(8);
  for (size_t i = 0; i < pairs.size(); ++i)
    ASSERT_TRUE((*pool)->adopt(std::move(pairs[i].theirs), client(i)));
  for (int round = 0; round < 20; ++round)
    for (Pair& pair : pairs)
      EXPECT_EQ(ask(pair.ours.get(), std::to_string(round)), std::to_string(round));
}

TEST(RunnerPool, ChannelEndsWhenTheHandlerSaysSo) {
  auto pool = RunnerPool::create(1, 1, echo);
  Pair pair;
  auto owner = client(1);
  ASSERT_TRUE((*pool)->adopt(std::move(pair.theirs), owner));
  EXPECT_EQ(ask(pair.ours.get(), "bye"), "");
  // The end of the socket is seen here after the pool has let go of the channel.
  EXPECT_EQ((*pool)->channels(), 0u);
  EXPECT_EQ(owner->channels.load(), 0u);
}

TEST(RunnerPool, DroppedClientLosesItsChannelsOnly) {
  auto pool = RunnerPool::create(2, 4, echo);
  Pair dropped, kept;
  auto gone = client(1);
  ASSERT_TRUE((*pool)->adopt(std::move(dropped.theirs), gone));
  ASSERT_TRUE((*pool)->adopt(std::move(kept.theirs), client(2)));
  (*pool)->drop_client(1);
  EXPECT_TRUE(gone->gone.load());
  char byte;
  EXPECT_EQ(::recv(dropped.ours.get(), &byte, 1, 0), 0);
  EXPECT_EQ(ask(kept.ours.get(), "still here"), "still here");
}

// Every runner of the pool is busy, and yet another client is answered.
TEST(RunnerPool, GrowsWhileAllAreBusy) {
  std::latch busy(2), release(1);
  auto pool = RunnerPool::create(2, 8, [&](int socket, RunClient& c) {
    if (c.client_id < 2) {
      char byte;
      if (::recv(socket, &byte, 1, MSG_DONTWAIT) <= 0) return false;
      busy.count_down();
      release.wait();
      return false;
    }
    return echo(socket, c);
  });
  std::vector<Pair> pairs(3);
  for (size_t i = 0; i < pairs.size(); ++i)
    ASSERT_TRUE((*pool)->adopt(std::move(pairs[i].theirs), client(i)));
  for (int i = 0; i < 2; ++i) ASSERT_EQ(::send(pairs[i].ours.get(), "x", 1, 0), 1);
  busy.wait();
  EXPECT_EQ(ask(pairs[2].ours.get(), "hello"), "hello");
  EXPECT_GT((*pool)->threads(), 2u);
  release.count_down();
}

}  // namespace
}  // namespace uarena::broker
