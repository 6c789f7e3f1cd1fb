// Finding the broker's socket and greeting it.
#include "ipc/client/broker_link.h"

#include <gtest/gtest.h>
#include <sys/un.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>

#include "tests/ipc/scripted_broker.h"

namespace uarena::ipc {
namespace {

using testing::refuse_with;
using testing::reply_with;
using testing::ScriptedBroker;

class BrokerLinkTest : public ::testing::Test {
 protected:
  BrokerLinkTest() {
    char name[] = "/tmp/uarena-link-XXXXXX";
    directory_ = ::mkdtemp(name);
    ::unsetenv("UARENA_SOCKET");
    ::unsetenv("XDG_RUNTIME_DIR");
  }
  ~BrokerLinkTest() override { std::filesystem::remove_all(directory_); }
  std::filesystem::path directory_;
};

TEST_F(BrokerLinkTest, SocketsAreLookedForInOrder) {
  EXPECT_EQ(default_socket_path(), "/run/uarena/uarena.sock");
  ::setenv("XDG_RUNTIME_DIR", directory_.c_str(), 1);
  EXPECT_EQ(default_socket_path(), "/run/uarena/uarena.sock");
  std::filesystem::create_directory(directory_ / "uarena");
  std::ofstream(directory_ / "uarena/uarena.sock");
  EXPECT_EQ(default_socket_path(), directory_ / "uarena/uarena.sock");
  ::setenv("UARENA_SOCKET", "/elsewhere", 1);
  EXPECT_EQ(default_socket_path(), "/elsewhere");
  ::setenv("UARENA_SOCKET", "", 1);
  EXPECT_EQ(default_socket_path(), directory_ / "uarena/uarena.sock");
  ::setenv("XDG_RUNTIME_DIR", "relative", 1);
  EXPECT_EQ(default_socket_path(), "/run/uarena/uarena.sock");
  ::unsetenv("UARENA_SOCKET");
  ::unsetenv("XDG_RUNTIME_DIR");
}

TEST_F(BrokerLinkTest, GreetsAndOpensTheRunChannelOnce) {
  ScriptedBroker broker;
  auto link = BrokerLink::connect(broker.path());
  ASSERT_TRUE(link) << link.error().message;
  EXPECT_EQ((*link)->broker().client_id, 7u);
  EXPECT_EQ(broker.log(), (std::vector<uint16_t>{UARENA_MSG_HELLO}));
  auto run = (*link)->run();
  ASSERT_TRUE(run);
  EXPECT_EQ(*(*link)->run(), *run);
  EXPECT_EQ(broker.log(), (std::vector<uint16_t>{UARENA_MSG_HELLO, UARENA_MSG_RUN_CHANNEL}));
  const auto refused = (*run)->ask<uarena_empty>(UARENA_MSG_PROG_UNLOAD, uarena_prog_ref{});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error.code, ENOSYS);
}

TEST_F(BrokerLinkTest, AbsentBrokersAreNamed) {
  const auto missing = BrokerLink::connect(directory_ / "sock");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ENOENT);
  EXPECT_EQ(missing.error().why, Why::unreachable);
  EXPECT_NE(missing.error().message.find(directory_ / "sock"), std::string::npos);

  std::string path;
  {
    ScriptedBroker broker;
    std::filesystem::rename(broker.path(), directory_ / "stale");
  }
  const auto stale = BrokerLink::connect(directory_ / "stale");
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().code, ECONNREFUSED);
  EXPECT_EQ(stale.error().why, Why::unreachable);

  const auto longest = BrokerLink::connect(std::string(108, 'x'));
  ASSERT_FALSE(longest);
  EXPECT_EQ(longest.error().code, ENAMETOOLONG);
}

TEST_F(BrokerLinkTest, OtherVersionsAreRefused) {
  ScriptedBroker broker;
  broker.on(UARENA_MSG_HELLO, refuse_with({EPROTONOSUPPORT, "too old", Why::version}));
  EXPECT_EQ(BrokerLink::connect(broker.path()).error().why, Why::version);

  uarena_hello_reply hello{};
  hello.abi = 2;
  hello.page_size = 4096;
  broker.on(UARENA_MSG_HELLO, reply_with(hello));
  EXPECT_EQ(BrokerLink::connect(broker.path()).error().code, EPROTONOSUPPORT);
  hello.abi = 1;
  hello.page_size = 65536;
  broker.on(UARENA_MSG_HELLO, reply_with(hello));
  EXPECT_EQ(BrokerLink::connect(broker.path()).error().code, EPROTONOSUPPORT);
}

TEST_F(BrokerLinkTest, ABrokerThatHangsUpIsUnreachable) {
  ScriptedBroker broker;
  broker.on(UARENA_MSG_HELLO, [](Request&) { return std::nullopt; });
  const auto link = BrokerLink::connect(broker.path());
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().code, ECONNRESET);
  EXPECT_EQ(link.error().why, Why::unreachable);
}

// A broker that takes its time: longer than the limit on every channel, and not the link's end for
// whoever sets none.
TEST_F(BrokerLinkTest, AnswersHaveALimit) {
  using std::chrono::milliseconds;
  ScriptedBroker broker;
  std::promise<void> over;
  const auto late = [&, wait = over.get_future().share()](Request& request) {
    wait.wait();
    return make_error(request.seq, {ENOSYS, "late"});
  };
  const auto ended = [](const auto& reply) {
    EXPECT_FALSE(reply);
    EXPECT_EQ(reply.error().error.code, ETIMEDOUT);
    EXPECT_EQ(reply.error().error.why, Why::unreachable);
  };
  // Long enough for a busy machine to say hello.
  auto link = BrokerLink::connect(broker.path(), milliseconds(500));
  ASSERT_TRUE(link) << link.error().message;
  ASSERT_TRUE((*link)->run());
  broker.on(UARENA_MSG_STATUS, late);
  broker.on(UARENA_MSG_PROG_UNLOAD, late);
  ended((*link)->control().ask<uarena_status_reply>(UARENA_MSG_STATUS, uarena_empty{}));
  EXPECT_TRUE((*link)->control().is_lost());
  ended((*(*link)->run())->ask<uarena_empty>(UARENA_MSG_PROG_UNLOAD, uarena_prog_ref{}));

  broker.on(UARENA_MSG_HELLO, late);
  EXPECT_EQ(BrokerLink::connect(broker.path(), milliseconds(30)).error().code, ETIMEDOUT);
  over.set_value();
}

TEST_F(BrokerLinkTest, ARefusedRunChannelCanBeAskedForAgain) {
  ScriptedBroker broker;
  auto link = BrokerLink::connect(broker.path());
  ASSERT_TRUE(link);
  broker.on(UARENA_MSG_RUN_CHANNEL, refuse_with({EMFILE, "too many"}));
  EXPECT_EQ((*link)->run().error().code, EMFILE);
  EXPECT_EQ((*link)->run().error().code, EMFILE);
}

}  // namespace
}  // namespace uarena::ipc
