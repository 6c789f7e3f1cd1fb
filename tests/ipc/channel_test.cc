// One request and one answer over a socket pair, and every way in which that can end badly.
#include "ipc/client/channel.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <thread>

#include "tests/ipc/ipc_testing.h"

namespace uarena::ipc {
namespace {

using testing::memory_file;
using testing::open_fds;
using testing::socket_pair;

class ChannelTest : public ::testing::Test {
 protected:
  ChannelTest() {
    auto [ours, theirs] = socket_pair();
    channel_ = std::make_unique<Channel>(std::move(ours));
    peer_ = std::move(theirs);
  }
  auto ask_status() {
    return channel_->ask<uarena_status_reply>(UARENA_MSG_STATUS, uarena_empty{});
  }
  // Answers one request with what `change` makes of a good answer.
  template <typename Change>
  std::thread answer_once(Change change) {
    return std::thread([this, change] {
      auto record = receive_record(peer_.get());
      ASSERT_TRUE(record);
      auto request = decode_request_untrusted(std::move(*record));
      ASSERT_TRUE(request);
      Record reply = make_reply(UARENA_MSG_STATUS, request->seq, uarena_status_reply{});
      change(*request, reply);
      ASSERT_TRUE(send_record(peer_.get(), reply));
    });
  }
  std::unique_ptr<Channel> channel_;
  Fd peer_;
};

TEST_F(ChannelTest, AsksAgainAndAgainWithNewNumbers) {
  std::vector<uint64_t> numbers;
  for (int i = 0; i < 3; ++i) {
    std::thread peer =
        answer_once([&](Request& request, Record&) { numbers.push_back(request.seq); });
    EXPECT_TRUE(ask_status());
    peer.join();
  }
  EXPECT_EQ(numbers, (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_FALSE(channel_->is_lost());
}

TEST_F(ChannelTest, AnErrorOfTheBrokerLeavesTheChannelUsable) {
  std::thread peer = answer_once([](Request& request, Record& reply) {
    reply = make_error(request.seq, {EBUSY, "busy", Why::quota});
  });
  const auto refused = ask_status();
  peer.join();
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().answered);
  EXPECT_EQ(refused.error().error.code, EBUSY);
  peer = answer_once([](Request&, Record&) {});
  EXPECT_TRUE(ask_status());
  peer.join();
}

TEST_F(ChannelTest, AnAnswerToSomethingElseEndsTheChannel) {
  std::thread peer = answer_once([](Request& request, Record& reply) {
    reply = make_reply(UARENA_MSG_STATUS, request.seq + 1, uarena_status_reply{});
  });
  const auto refused = ask_status();
  peer.join();
  ASSERT_FALSE(refused);
  EXPECT_FALSE(refused.error().answered);
  EXPECT_EQ(refused.error().error.code, EPROTO);
  EXPECT_TRUE(channel_->is_lost());
  // The next request does not even go out.
  EXPECT_FALSE(ask_status());
  EXPECT_EQ(receive_record(peer_.get(), Wait::no).error().code, EAGAIN);
}

// The broker died between answering and taking the request out of the socket: its successor answers
// once more, which nobody waits for.
TEST_F(ChannelTest, AnswersToOlderRequestsArePassedOver) {
  std::thread peer = answer_once([](Request&, Record&) {});
  EXPECT_TRUE(ask_status());
  peer.join();
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(send_record(peer_.get(), make_error(1, {EOWNERDEAD, "outcome unknown"})));
  peer = answer_once([](Request&, Record&) {});
  EXPECT_TRUE(ask_status());
  peer.join();
  EXPECT_FALSE(channel_->is_lost());
  // But nobody is believed who sends nothing else.
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(send_record(peer_.get(), make_error(1, {EOWNERDEAD, "outcome unknown"})));
  const auto refused = ask_status();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error.code, EPROTO);
}

TEST_F(ChannelTest, TooManyDescriptorsAreOneFailedRequest) {
  const Fd file = memory_file();
  std::thread peer = answer_once([](Request&, Record& reply) {
    reply.fds.push_back(memory_file());  // STATUS has none
  });
  const int before = open_fds();
  EXPECT_FALSE(ask_status());
  peer.join();
  EXPECT_LE(open_fds(), before);
}

TEST_F(ChannelTest, ABrokerThatIsGone) {
  peer_.reset();
  EXPECT_TRUE(channel_->is_lost());
  for (int i = 0; i < 2; ++i) {
    const auto refused = ask_status();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().error.code, EPIPE);
    EXPECT_EQ(refused.error().error.why, Why::unreachable);
    EXPECT_FALSE(refused.error().error.message.empty());
  }
}

TEST_F(ChannelTest, ABrokerThatGoesWhileItIsAsked) {
  std::thread peer([this] {
    EXPECT_TRUE(receive_record(peer_.get()));
    peer_.reset();
  });
  const auto refused = ask_status();
  peer.join();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error.code, ECONNRESET);
  EXPECT_EQ(refused.error().error.why, Why::unreachable);
  EXPECT_EQ(refused.error().error.message.find("outcome unknown"), std::string::npos);
}

TEST_F(ChannelTest, ARunThatWasUnderWayHasAnUnknownOutcome) {
  std::thread peer([this] {
    EXPECT_TRUE(receive_record(peer_.get()));
    peer_.reset();
  });
  const auto refused = channel_->ask<uarena_prog_run_reply>(UARENA_MSG_PROG_RUN, uarena_prog_run{});
  peer.join();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().error.message.find("outcome unknown"), std::string::npos);
}

TEST_F(ChannelTest, AForkedChildIsRefusedAndDisturbsNothing) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto refused = ask_status();
    ::_exit(!refused && refused.error().error.code == ECHILD ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(receive_record(peer_.get(), Wait::no).error().code, EAGAIN);
  std::thread peer = answer_once([](Request&, Record&) {});
  EXPECT_TRUE(ask_status());
  peer.join();
}

TEST_F(ChannelTest, ThreadsTakeTurns) {
  std::thread peer([this] {
    for (int i = 0; i < 200; ++i) {
      auto request = decode_request_untrusted(std::move(*receive_record(peer_.get())));
      ASSERT_TRUE(request);
      uarena_status_reply reply{};
      reply.arenas = request->seq;
      ASSERT_TRUE(send_record(peer_.get(), make_reply(UARENA_MSG_STATUS, request->seq, reply)));
    }
  });
  std::vector<std::thread> askers;
  for (int i = 0; i < 4; ++i)
    askers.emplace_back([this] {
      for (int j = 0; j < 50; ++j) {
        const auto reply = ask_status();
        ASSERT_TRUE(reply);
        EXPECT_EQ(reply->body.arenas, reply->body.msg.seq);
      }
    });
  for (std::thread& asker : askers) asker.join();
  peer.join();
}

}  // namespace
}  // namespace uarena::ipc
