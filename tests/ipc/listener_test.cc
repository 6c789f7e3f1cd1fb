// Listening sockets in a directory of their own: stale files, neighbours, modes, and the moment
// when the process has no descriptor left.
#include "ipc/listener.h"

#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "ipc/base/log.h"
#include "tests/ipc/ipc_testing.h"
#include "tests/ipc/loop_testing.h"

namespace uarena::ipc {
namespace {

using namespace std::chrono_literals;

class ListenerTest : public testing::LoopTest {
 protected:
  ListenerTest() {
    char name[] = "/tmp/uarena-listener-XXXXXX";
    directory_ = ::mkdtemp(name);
    path_ = directory_ / "sock";
  }
  ~ListenerTest() override { std::filesystem::remove_all(directory_); }

  Listener::Handler keep() {
    return [this](Fd socket, PeerCredentials peer) {
      EXPECT_EQ(peer.pid, ::getpid());
      accepted_.push_back(std::move(socket));
      loop_.stop();
    };
  }
  auto bind(mode_t mode = 0660) { return Listener::bind(loop_, path_, mode, keep()); }
  // The connected socket, or empty with errno.
  Fd connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
      socket.reset();
    return socket;
  }
  bool exists() const { return std::filesystem::exists(std::filesystem::symlink_status(path_)); }

  std::filesystem::path directory_;
  std::filesystem::path path_;
  std::vector<Fd> accepted_;
};

TEST_F(ListenerTest, AcceptsAndRemovesItsFileOnClose) {
  auto listener = bind(0600);
  ASSERT_TRUE(listener) << listener.error().message;
  struct stat st{};
  ASSERT_EQ(::stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
  const Fd client = connect_to(path_);
  ASSERT_TRUE(client);
  run();
  ASSERT_EQ(accepted_.size(), 1u);
  EXPECT_EQ(::fcntl(accepted_[0].get(), F_GETFD), FD_CLOEXEC);
  listener->reset();
  EXPECT_FALSE(exists());
}

TEST_F(ListenerTest, ModesAreNotCutByTheUmask) {
  const mode_t old = ::umask(0777);
  auto listener = bind(0666);
  ::umask(old);
  ASSERT_TRUE(listener);
  struct stat st{};
  ASSERT_EQ(::stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0666u);
}

TEST_F(ListenerTest, AStaleFileIsReplaced) {
  {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.string().copy(address.sun_path, sizeof address.sun_path - 1);
    const Fd dead(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ASSERT_TRUE(exists());
  auto listener = bind();
  ASSERT_TRUE(listener) << listener.error().message;
  EXPECT_TRUE(connect_to(path_));
}

TEST_F(ListenerTest, ALiveNeighbourIsLeftAlone) {
  auto first = bind();
  ASSERT_TRUE(first);
  auto second = bind();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EADDRINUSE);
  EXPECT_TRUE(connect_to(path_));
}

TEST_F(ListenerTest, SomethingElseThanASocketIsLeftAlone) {
  std::ofstream(path_) << "precious";
  auto listener = bind();
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().code, EEXIST);
  EXPECT_EQ(std::filesystem::file_size(path_), 8u);
}

TEST_F(ListenerTest, OnClosingOnlyItsOwnFileIsRemoved) {
  auto listener = bind();
  ASSERT_TRUE(listener);
  std::filesystem::remove(path_);
  std::ofstream(path_) << "another's";
  listener->reset();
  EXPECT_TRUE(exists());
}

TEST_F(ListenerTest, OfManyThatStartAtOnceOneWins) {
  // A stale file to fight over.
  {
    auto gone = bind();
    std::filesystem::rename(path_, directory_ / "x");
  }
  std::filesystem::rename(directory_ / "x", path_);
  std::atomic<int> winners{0};
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<EventLoop>> loops(8);
  std::vector<std::unique_ptr<Listener>> listeners(8);
  for (size_t i = 0; i < loops.size(); ++i) {
    loops[i] = std::make_unique<EventLoop>();
    threads.emplace_back([&, i] {
      auto listener = Listener::bind(*loops[i], path_, 0600, [](Fd, PeerCredentials) {});
      if (listener) {
        ++winners;
        listeners[i] = std::move(*listener);
      } else {
        EXPECT_EQ(listener.error().code, EADDRINUSE) << listener.error().message;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(winners, 1);
  EXPECT_TRUE(connect_to(path_));
  listeners.clear();
}

TEST_F(ListenerTest, BadPathsAreNamed) {
  const auto code = [this](const std::string& path) {
    return Listener::bind(loop_, path, 0600, keep()).error().code;
  };
  EXPECT_EQ(code(directory_ / "missing" / "sock"), ENOENT);
  EXPECT_EQ(code(directory_ / std::string(107, 'x')), ENAMETOOLONG);
  EXPECT_EQ(code(""), EINVAL);
}

TEST_F(ListenerTest, ALockHeldForeverIsNotWaitedForForever) {
  const Fd holder(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::flock(holder.get(), LOCK_EX), 0);
  auto listener = bind();
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().code, EBUSY);
}

TEST_F(ListenerTest, AnInheritedSocketIsTakenOver) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.string().copy(address.sun_path, sizeof address.sun_path - 1);
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET, 0));
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(Listener::adopt(loop_, socket.dup(), keep()).error().code, EINVAL);  // not listening
  ASSERT_EQ(::listen(socket.get(), 5), 0);
  const Fd client = connect_to(path_);
  ASSERT_TRUE(client);

  auto listener = Listener::adopt(loop_, std::move(socket), keep());
  ASSERT_TRUE(listener) << listener.error().message;
  run();
  EXPECT_EQ(accepted_.size(), 1u);
  listener->reset();
  EXPECT_TRUE(exists());
}

// What a successor needs to know of a socket: where it is, and which file is its own.
TEST_F(ListenerTest, TakenOverWithItsFileItRemovesThat) {
  auto first = bind();
  ASSERT_TRUE(first);
  const Fd socket(::dup((*first)->socket()));
  const dev_t device = (*first)->file().device();
  const ino_t inode = (*first)->file().inode();
  EXPECT_EQ(path_of(socket.get()), path_);
  EXPECT_FALSE(SocketFile::find(path_, device, inode + 1));
  EXPECT_FALSE(SocketFile::find(directory_ / "missing", device, inode));
  auto file = SocketFile::find(path_, device, inode);
  ASSERT_TRUE(file);
  auto second = Listener::adopt(loop_, socket.dup(), keep(), std::move(*file));
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_TRUE(exists());
  second->reset();
  EXPECT_FALSE(exists());
}

TEST_F(ListenerTest, PathsOfOtherSockets) {
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  EXPECT_EQ(path_of(socket.get()), "");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)), 0);
  EXPECT_EQ(path_of(socket.get()).front(), '@');
  EXPECT_EQ(path_of(-1), "");
}

TEST_F(ListenerTest, WhatIsNoListeningSeqpacketSocketIsNotTakenOver) {
  EXPECT_EQ(Listener::adopt(loop_, testing::memory_file(), keep()).error().code, ENOTSOCK);
  Fd stream(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_EQ(::bind(stream.get(), reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)), 0);
  ASSERT_EQ(::listen(stream.get(), 1), 0);
  EXPECT_EQ(Listener::adopt(loop_, std::move(stream), keep()).error().code, EINVAL);
}

TEST_F(ListenerTest, WithoutFreeDescriptorsClientsAreTurnedAwayAndServiceGoesOn) {
  auto listener = bind();
  ASSERT_TRUE(listener);
  // One client and one log line in good times first: UBSan looks at each class once, and needs
  // descriptors of its own for that.
  log(LogLevel::info, "listener_test.start", {{"path", path_.string()}});
  const Fd first = connect_to(path_);
  run();
  accepted_.clear();

  const Fd client = connect_to(path_);
  ASSERT_TRUE(client);
  // The client sees its connection end: that is the event to wait for.
  Result<EventLoop::Watch> ended = loop_.watch(client.get(), EventLoop::Readiness::read, [&] {
    char byte;
    EXPECT_EQ(::recv(client.get(), &byte, 1, 0), 0);
    ended->reset();
    loop_.stop();
  });
  ASSERT_TRUE(ended);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  const Fd lowest(::dup(client.get()));
  const rlimit none{static_cast<rlim_t>(lowest.get()) + 1, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  run();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_EQ((*listener)->turned_away(), 1u);
  EXPECT_TRUE(accepted_.empty());

  const Fd next = connect_to(path_);
  ASSERT_TRUE(next);
  run();
  EXPECT_EQ(accepted_.size(), 1u);
}

TEST_F(ListenerTest, AHandlerMayDestroyTheListener) {
  std::unique_ptr<Listener> listener;
  listener = std::move(*Listener::bind(loop_, path_, 0600, [&](Fd, PeerCredentials) {
    listener.reset();
    loop_.stop();
  }));
  const Fd first = connect_to(path_), second = connect_to(path_);
  run();
  EXPECT_FALSE(exists());
}

}  // namespace
}  // namespace uarena::ipc
