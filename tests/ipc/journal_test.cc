// What arrives at the journal's socket, and what happens when it does not.
#include "ipc/base/journal.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "ipc/base/fd.h"
#include "tests/support/broker_process.h"

namespace uarena {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// As uuidgen(1) and other tools make them.
TEST(Journal, MessageIdsAreTheNamesUuids) {
  EXPECT_EQ(message_id("quota.denied"), "90814b20bc4953f394b8e1508ff818ff");
  EXPECT_EQ(message_id("client.connected"), "9fe5f4bdda7e50958f2791fbee62acd8");
}

// A journal of our own, and a file for standard error that is said to be its.
class Sent : public ::testing::Test {
 protected:
  Sent() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const Fd file(::open((dir_.path() + "/stderr").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    ::dup2(file.get(), STDERR_FILENO);
  }
  ~Sent() override {
    set_log_sink(nullptr);
    ::unsetenv("JOURNAL_STREAM");
    ::dup2(saved_.get(), STDERR_FILENO);
  }
  static void say_whose_stderr_is() {
    struct stat file{};
    ::fstat(STDERR_FILENO, &file);
    ::setenv("JOURNAL_STREAM", fmt::format("{}:{}", file.st_dev, file.st_ino).c_str(), 1);
  }
  std::string received() {
    char buffer[4096];
    const ssize_t n = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    return n < 0 ? "" : std::string(buffer, static_cast<size_t>(n));
  }
  std::string on_stderr() const {
    char buffer[4096];
    const ssize_t n = ::pread(STDERR_FILENO, buffer, sizeof buffer, 0);
    return n < 0 ? "" : std::string(buffer, static_cast<size_t>(n));
  }

  const testing::TempDir dir_;
  const std::string path_ = dir_.path() + "/journal";
  Fd socket_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  const Fd saved_{::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)};
};

TEST_F(Sent, AnEntryHasFieldsOfItsOwn) {
  say_whose_stderr_is();
  log_to_journal("uarenad", path_);
  log(LogLevel::warning, "quota.denied",
      {{"uid", 1000}, {"resource", "pages\nPRIORITY=0"}, {"errno", 122}});
  EXPECT_EQ(received(),
            "MESSAGE=event=quota.denied uid=1000 resource=\"pages\\x0aPRIORITY=0\" errno=122\n"
            "PRIORITY=4\nMESSAGE_ID=90814b20bc4953f394b8e1508ff818ff\nSYSLOG_IDENTIFIER=uarenad\n"
            "UARENA_EVENT=quota.denied\nUARENA_UID=1000\n"
            "UARENA_RESOURCE=pages\\x0aPRIORITY=0\nERRNO=122\n");
  log(LogLevel::debug, "below.the.level");
  EXPECT_EQ(received(), "");
  EXPECT_EQ(on_stderr(), "");
}

TEST_F(Sent, NothingUnlessStandardErrorIsTheJournals) {
  log_to_journal("uarenad", path_);
  log(LogLevel::info, "one");
  ::setenv("JOURNAL_STREAM", "1:2", 1);
  log_to_journal("uarenad", path_);
  log(LogLevel::info, "two");
  EXPECT_EQ(received(), "");
  EXPECT_THAT(on_stderr(), HasSubstr("event=one\n"));
  EXPECT_THAT(on_stderr(), HasSubstr("event=two\n"));
}

// A journal that restarts, or that is full, costs nobody time.
TEST_F(Sent, WhatItDoesNotTakeGoesToStandardError) {
  say_whose_stderr_is();
  log_to_journal("uarenad", path_);
  const std::string text(1000, 'x');
  for (int n = 0; n < 10'000 && on_stderr().empty(); ++n)
    log(LogLevel::info, "too.many", {{"text", text}});
  EXPECT_THAT(on_stderr(), HasSubstr(" level=info event=too.many text=\"xxx"));
  socket_.reset();
  log(LogLevel::error, "nobody.there");
  EXPECT_THAT(received(), "");
}

}  // namespace
}  // namespace uarena
