// Connections over socket pairs: order, bounds, ends, and handlers that destroy what calls them.
#include "ipc/connection.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "ipc/abi.h"
#include "tests/ipc/ipc_testing.h"
#include "tests/ipc/loop_testing.h"

namespace uarena::ipc {
namespace {

using namespace std::chrono_literals;
using testing::memory_file;
using testing::open_fds;
using testing::socket_pair;

struct Recorder : Connection::Handler {
  std::function<void(Record&&)> record = [](Record&&) {};
  std::function<void(const Error&)> closed = [](const Error&) {};
  int records = 0;
  int closes = 0;
  bool done_at_once = true;
  std::unique_ptr<Connection>* connection = nullptr;
  void on_record(Record&& r) override {
    ++records;
    record(std::move(r));
    if (done_at_once && connection != nullptr && *connection) (*connection)->done();
  }
  void on_close(const Error& reason) override {
    ++closes;
    closed(reason);
  }
};

Record record_of(size_t size, int fill = 1) { return {{size, std::byte(fill)}, {}}; }

class ConnectionTest : public testing::LoopTest {
 protected:
  ConnectionTest() { std::tie(ours_, peer_) = socket_pair(); }
  void open() {
    connection_ = std::move(*Connection::open(loop_, std::move(ours_), handler_));
    handler_.connection = &connection_;
  }
  Fd ours_, peer_;
  Recorder handler_;
  std::unique_ptr<Connection> connection_;
};

TEST_F(ConnectionTest, RecordsArriveWithDescriptorsAndAreAnswered) {
  open();
  handler_.record = [this](Record&& record) {
    EXPECT_EQ(record.fds.size(), 1u);
    connection_->send(std::move(record));
    loop_.stop();
  };
  const Fd file = memory_file();
  ASSERT_TRUE(send_record(peer_.get(), record_of(10).bytes, std::array<int, 1>{file.get()}));
  run();
  const auto echo = receive_record(peer_.get(), Wait::no);
  ASSERT_TRUE(echo);
  EXPECT_EQ(echo->bytes.size(), 10u);
  ASSERT_EQ(echo->fds.size(), 1u);
  EXPECT_TRUE(testing::same_file(echo->fds[0].get(), file.get()));
}

// Whoever takes the socket over finds what was not done, and with its descriptors.
TEST_F(ConnectionTest, ARecordStaysInTheSocketUntilItIsDone) {
  const Fd successor = ours_.dup();
  open();
  handler_.done_at_once = false;
  handler_.record = [this](Record&&) { loop_.stop(); };
  const Fd file = memory_file();
  ASSERT_TRUE(send_record(peer_.get(), record_of(10, 1).bytes, std::array<int, 1>{file.get()}));
  ASSERT_TRUE(send_record(peer_.get(), record_of(10, 2)));
  run();
  EXPECT_EQ(handler_.records, 1);
  const auto left = peek_record(successor.get(), Wait::no);
  ASSERT_TRUE(left);
  EXPECT_EQ(left->bytes, record_of(10, 1).bytes);
  ASSERT_EQ(left->fds.size(), 1u);
  EXPECT_TRUE(testing::same_file(left->fds[0].get(), file.get()));
  // The next comes when this one is done, and not before.
  loop_.post([this] { connection_->done(); });
  run();
  EXPECT_EQ(handler_.records, 2);
  connection_->done();
  EXPECT_EQ(peek_record(successor.get(), Wait::no).error().code, EAGAIN);
}

TEST_F(ConnectionTest, TheEndComesOnceAfterTheLastRecord) {
  open();
  ASSERT_TRUE(send_record(peer_.get(), record_of(1)));
  peer_.reset();
  handler_.closed = [this](const Error& reason) {
    EXPECT_EQ(handler_.records, 1);
    EXPECT_EQ(reason.code, kEndOfFile);
    connection_->send(record_of(1));  // goes nowhere
    connection_->close({EIO, "again"});
    loop_.post([this] { loop_.stop(); });
  };
  run();
  EXPECT_EQ(handler_.closes, 1);
}

TEST_F(ConnectionTest, ABadRecordEndsIt) {
  open();
  handler_.closed = [this](const Error& reason) {
    EXPECT_EQ(reason.code, EMSGSIZE);
    loop_.stop();
  };
  const std::vector<std::byte> large(UARENA_MAX_RECORD + 1);
  ASSERT_GT(::send(peer_.get(), large.data(), large.size(), 0), 0);
  run();
  EXPECT_EQ(receive_record(peer_.get(), Wait::no).error().code, kEndOfFile);
}

TEST_F(ConnectionTest, CloseIsToldFromTheLoopWithItsReason) {
  open();
  handler_.closed = [this](const Error& reason) {
    EXPECT_EQ(reason.message, "too slow");
    loop_.stop();
  };
  connection_->close({ETIMEDOUT, "too slow"});
  EXPECT_EQ(handler_.closes, 0);
  run();
  EXPECT_EQ(handler_.closes, 1);
}

TEST_F(ConnectionTest, AnswersWaitInOrderForAPeerThatReadsLate) {
  open();
  constexpr size_t kSize = 30000;
  int sent = 0;
  while (connection_->queued() < 5) connection_->send(record_of(kSize, ++sent));
  EXPECT_EQ(handler_.closes, 0);

  int received = 0;
  const auto watch = loop_.watch(peer_.get(), EventLoop::Readiness::read, [&] {
    const auto record = receive_record(peer_.get(), Wait::no);
    ASSERT_TRUE(record);
    EXPECT_EQ(record->bytes, record_of(kSize, ++received).bytes);
    if (received == sent) loop_.stop();
  });
  run();
  EXPECT_EQ(received, sent);
  EXPECT_EQ(connection_->queued(), 0u);
  // And directly again, once the queue is empty.
  connection_->send(record_of(1));
  EXPECT_EQ(connection_->queued(), 0u);
  EXPECT_TRUE(receive_record(peer_.get(), Wait::no));
}

TEST_F(ConnectionTest, APeerThatNeverReadsIsCutOff) {
  open();
  const int before = open_fds();
  handler_.closed = [this](const Error& reason) {
    EXPECT_EQ(reason.code, ENOBUFS);
    loop_.stop();
  };
  for (size_t i = 0; i < 5 * Connection::kMaxQueuedRecords; ++i) {
    Record record = record_of(1000);
    record.fds.push_back(memory_file());
    connection_->send(std::move(record));
  }
  EXPECT_EQ(connection_->queued(), 0u);
  run();
  EXPECT_EQ(handler_.closes, 1);
  connection_.reset();
  EXPECT_LE(open_fds(), before);
}

TEST_F(ConnectionTest, QueuedBytesAreBoundedToo) {
  open();
  for (size_t i = 0; i < 12; ++i) connection_->send(record_of(UARENA_MAX_RECORD));
  EXPECT_EQ(connection_->queued(), 0u);
  handler_.closed = [this](const Error&) { loop_.stop(); };
  run();
}

TEST_F(ConnectionTest, AHandlerMayDestroyItsConnection) {
  open();
  handler_.record = [this](Record&&) {
    connection_.reset();
    loop_.post([this] { loop_.stop(); });
  };
  ASSERT_TRUE(send_record(peer_.get(), record_of(1)));
  ASSERT_TRUE(send_record(peer_.get(), record_of(1)));
  run();
  EXPECT_EQ(handler_.records, 1);
  EXPECT_EQ(handler_.closes, 0);
  EXPECT_EQ(receive_record(peer_.get(), Wait::no).error().code, kEndOfFile);
}

TEST_F(ConnectionTest, AHandlerMayDestroyItsConnectionAtTheEnd) {
  open();
  peer_.reset();
  handler_.closed = [this](const Error&) {
    connection_.reset();
    loop_.stop();
  };
  run();
  EXPECT_EQ(handler_.closes, 1);
}

TEST_F(ConnectionTest, DestroyingAfterCloseTellsNobody) {
  open();
  connection_->close({EIO, "x"});
  connection_.reset();
  loop_.post([this] { loop_.stop(); });
  run();
  EXPECT_EQ(handler_.closes, 0);
}

TEST_F(ConnectionTest, AFloodLeavesOthersTheirTurn) {
  open();
  auto [quiet, quiet_peer] = socket_pair();
  Recorder other;
  const auto second = std::move(*Connection::open(loop_, std::move(quiet), other));
  // As many records as fit are there from the start; the other's one record is served before
  // they are through.
  int flood = 0;
  while (send_record(peer_.get(), record_of(1), Wait::no)) ++flood;
  ASSERT_GT(flood, 2 * Connection::kRecordsPerWakeup);
  ASSERT_TRUE(send_record(quiet_peer.get(), record_of(1)));
  other.record = [&](Record&&) {
    EXPECT_LT(handler_.records, flood);
    EXPECT_LE(handler_.records, 2 * Connection::kRecordsPerWakeup);
    loop_.stop();
  };
  run();
}

}  // namespace
}  // namespace uarena::ipc
