// What a keeper is made of: the notification's parser, the socket that hears them, and the table.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

#include <random>

#include "broker/kept_fds.h"
#include "broker/notify_message.h"
#include "broker/notify_socket.h"

namespace uarena::broker {
namespace {

using Store = NotifyMessage::Store;
using namespace std::string_literals;

int error_of(const std::string& text) {
  const auto message = parse_notify_untrusted(text);
  return message ? 0 : message.error().code;
}

TEST(NotifyMessage, Keys) {
  const auto all = parse_notify_untrusted(
      "READY=1\nSTATUS=serving on a=b\nMAINPID=12\n\nnonsense\nSTOPPING=1\nWATCHDOG=1\n");
  ASSERT_TRUE(all);
  EXPECT_TRUE(all->ready);
  EXPECT_TRUE(all->stopping);
  EXPECT_TRUE(all->watchdog);
  EXPECT_EQ(all->status, "serving on a=b");
  EXPECT_EQ(all->store, Store::none);
  for (const char* text : {"", "\n\n", "READY", "READY=0", "READY=11", "ready=1", " READY=1",
                           "X_READY=1", "STOPPING=", "WATCHDOG=trigger", "FDNAME=a:b"}) {
    const auto none = parse_notify_untrusted(text);
    ASSERT_TRUE(none) << text;
    EXPECT_FALSE(none->ready || none->stopping || none->watchdog || none->status) << text;
    EXPECT_EQ(none->store, Store::none) << text;
  }
}

TEST(NotifyMessage, StoreNeedsAProperName) {
  const auto put = parse_notify_untrusted("FDSTORE=1\nFDNAME=arena-1\nFDPOLL=0");
  ASSERT_TRUE(put);
  EXPECT_EQ(put->store, Store::put);
  EXPECT_EQ(put->name, "arena-1");
  const auto remove = parse_notify_untrusted("FDNAME=x\nFDSTORE=1\nFDSTOREREMOVE=1");
  ASSERT_TRUE(remove);
  EXPECT_EQ(remove->store, Store::remove);
  EXPECT_EQ(parse_notify_untrusted("FDNAME=a\nFDSTORE=1\nFDNAME=b")->name, "b");
  for (const std::string& name : {""s, "a:b"s, "a\tb"s, "\xc3\xa4"s, std::string(256, 'n')}) {
    EXPECT_EQ(error_of("FDSTORE=1\nFDNAME=" + name), EINVAL) << name;
    EXPECT_EQ(error_of("FDSTOREREMOVE=1\nFDNAME=" + name), EINVAL) << name;
  }
  EXPECT_EQ(error_of("FDSTORE=1"), EINVAL);
  EXPECT_EQ(error_of("FDSTORE=1\nFDNAME=" + std::string(255, 'n')), 0);
}

TEST(NotifyMessage, Bounds) {
  EXPECT_EQ(error_of("READY=1\0"s), 0) << "a zero at the end is what C programs send";
  EXPECT_EQ(error_of("READY=1\0\0"s), EINVAL);
  EXPECT_EQ(error_of("READY=1\0FDSTORE=1\nFDNAME=x"s), EINVAL);
  EXPECT_EQ(error_of("STATUS=" + std::string(kMaxNotifyBytes - 7, 's')), 0);
  EXPECT_EQ(error_of("STATUS=" + std::string(kMaxNotifyBytes - 6, 's')), EMSGSIZE);
}

// Whatever comes, it is refused or has a name that may stand in LISTEN_FDNAMES.
TEST(NotifyMessage, RandomBytes) {
  std::mt19937 random(7);
  const std::string pieces[] = {"FDSTORE=1\n",
                                "FDNAME=",
                                "\nFDNAME=x",
                                "\nFDSTOREREMOVE=1\n",
                                "=",
                                "\n",
                                "STATUS=\x1b[2J\n",
                                ":",
                                "\0"s,
                                "READY=1",
                                "y z",
                                "\xff"};
  int stored = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (size_t n = random() % 12; n > 0; --n) text += pieces[random() % std::size(pieces)];
    const auto message = parse_notify_untrusted(text);
    if (!message || message->store == Store::none) continue;
    ++stored;
    EXPECT_TRUE(is_fd_name(message->name)) << text;
  }
  EXPECT_GT(stored, 100);
}

Fd memory() { return Fd(::memfd_create("test", MFD_CLOEXEC)); }

std::vector<Fd> some(size_t count) {
  std::vector<Fd> fds;
  while (fds.size() < count) fds.push_back(memory());
  return fds;
}

std::string names_in(const KeptFds& kept) {
  std::string names;
  kept.for_each([&](const std::string& name, int fd) {
    EXPECT_GE(::fcntl(fd, F_GETFD), 0);
    names += name + ' ';
  });
  return names;
}

TEST(KeptFds, ByName) {
  KeptFds kept(10, 100);
  for (const char* name : {"b", "a", "c", "a"}) {
    auto fds = some(1);
    ASSERT_TRUE(kept.put(name, fds));
    EXPECT_TRUE(fds.empty());
  }
  EXPECT_EQ(names_in(kept), "a a b c ");
  EXPECT_EQ(kept.remove("a").size(), 2U);
  EXPECT_EQ(kept.remove("a").size(), 0U);
  EXPECT_EQ(names_in(kept), "b c ");
}

TEST(KeptFds, Limits) {
  KeptFds kept(3, 100);
  auto four = some(4);
  EXPECT_EQ(kept.put("x", four).error().code, ENOSPC);
  EXPECT_EQ(four.size(), 4U) << "left as they were";
  four.pop_back();
  ASSERT_TRUE(kept.put("x", four));
  auto one = some(1);
  EXPECT_EQ(kept.put("y", one).error().code, ENOSPC);
  kept.remove("x");
  ASSERT_TRUE(kept.put(std::string(60, 'y'), one));
  one = some(1);
  EXPECT_EQ(kept.put(std::string(39, 'z'), one).error().code, ENOSPC);
  EXPECT_TRUE(kept.put(std::string(38, 'z'), one));
}

// A process that was handed the address sends as libsystemd does.
pid_t send_from_child(const NotifySocket& socket, const char* state, unsigned fds) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  const int mine = ::dup(socket.address_fd());
  ::setenv("NOTIFY_SOCKET", fmt::format("/proc/self/fd/{}", mine).c_str(), 1);
  std::vector<int> sent;
  for (unsigned i = 0; i < fds; ++i) sent.push_back(::memfd_create("sent", 0));
  const int result = ::sd_pid_notify_with_fds(0, 0, state, sent.data(), fds);
  ::_exit(result > 0 ? 0 : 1);
}

TEST(NotifySocket, HearsWhoHoldsItsAddress) {
  auto socket = NotifySocket::create();
  ASSERT_TRUE(socket) << socket.error().message;
  EXPECT_FALSE(socket->receive());
  struct stat file{};
  ASSERT_EQ(::fstat(socket->address_fd(), &file), 0);
  EXPECT_EQ(file.st_nlink, 0U) << "nothing is left in the file system";
  const pid_t pid = send_from_child(*socket, "FDSTORE=1\nFDNAME=x", 3);
  int status = -1;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
  const auto heard = socket->receive();
  ASSERT_TRUE(heard) << "it is in the queue when the sender has sent it, and stays when it dies";
  EXPECT_EQ(heard->sender, pid);
  EXPECT_EQ(heard->text, "FDSTORE=1\nFDNAME=x");
  ASSERT_EQ(heard->fds.size(), 3U);
  for (const Fd& fd : heard->fds) EXPECT_EQ(::fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_FALSE(socket->receive());
}

TEST(NotifySocket, CutsWhatIsTooLong) {
  auto socket = NotifySocket::create();
  ASSERT_TRUE(socket);
  const std::string text = "STATUS=" + std::string(2 * kMaxNotifyBytes, 's');
  ::waitpid(send_from_child(*socket, text.c_str(), 0), nullptr, 0);
  const auto heard = socket->receive();
  ASSERT_TRUE(heard);
  EXPECT_EQ(error_of(heard->text), EMSGSIZE);
}

}  // namespace
}  // namespace uarena::broker
