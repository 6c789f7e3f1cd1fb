// Credentials of real processes, living and dead.
#include "ipc/credentials.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "ipc/scm_rights.h"
#include "tests/ipc/ipc_testing.h"

namespace uarena::ipc {
namespace {

using testing::open_fds;
using testing::socket_pair;

// A listening abstract socket with an automatic name, and its address.
Fd listening(sockaddr_un& address, socklen_t& size) {
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  address = {};
  address.sun_family = AF_UNIX;
  size = sizeof address;
  EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)), 0);
  EXPECT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  EXPECT_EQ(::listen(socket.get(), 1), 0);
  return socket;
}

TEST(Credentials, OfThisProcess) {
  auto [a, b] = socket_pair();
  const auto peer = peer_credentials(a.get());
  ASSERT_TRUE(peer) << peer.error().message;
  EXPECT_EQ(peer->pid, ::getpid());
  EXPECT_EQ(peer->uid, ::getuid());
  EXPECT_EQ(peer->gid, ::getgid());
  std::vector<gid_t> groups(static_cast<size_t>(::getgroups(0, nullptr)));
  EXPECT_EQ(::getgroups(static_cast<int>(groups.size()), groups.data()),
            static_cast<int>(groups.size()));
  EXPECT_EQ(peer->groups, groups);
  EXPECT_TRUE(peer->is_member(::getgid()));
  EXPECT_TRUE(is_alive(peer->pidfd));
  EXPECT_EQ(::fcntl(peer->pidfd.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

// More groups than the first question has room for.
TEST(Credentials, ManyGroups) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can have any groups";
  sockaddr_un address;
  socklen_t size;
  const Fd listener = listening(address, size);
  std::vector<gid_t> groups(300);
  for (size_t n = 0; n < groups.size(); ++n) groups[n] = static_cast<gid_t>(70'000 + n);
  const pid_t child = ::fork();
  if (child == 0) {
    const int socket = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
    char byte;
    if (::setgroups(groups.size(), groups.data()) < 0 ||
        ::connect(socket, reinterpret_cast<sockaddr*>(&address), size) < 0)
      ::_exit(1);
    ::_exit(::read(socket, &byte, 1) == 0 ? 0 : 1);
  }
  {
    const Fd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const auto peer = peer_credentials(socket.get());
    ASSERT_TRUE(peer) << peer.error().message;
    EXPECT_EQ(peer->groups, groups);
    EXPECT_TRUE(peer->is_member(70'299));
    EXPECT_FALSE(peer->is_member(70'300));
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(Credentials, OfAnotherProcessUntilItExits) {
  sockaddr_un address;
  socklen_t size;
  const Fd listener = listening(address, size);
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NAME, "a\"b\ncd");
    const int socket = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
    char byte;
    if (::connect(socket, reinterpret_cast<sockaddr*>(&address), size) < 0) ::_exit(1);
    ::_exit(::read(socket, &byte, 1) == 1 ? 0 : 2);
  }
  const Fd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const auto peer = peer_credentials(socket.get());
  ASSERT_TRUE(peer) << peer.error().message;
  EXPECT_EQ(peer->pid, child);
  EXPECT_EQ(peer->comm, "a\"b\ncd");
  EXPECT_TRUE(is_alive(peer->pidfd));

  ASSERT_EQ(::write(socket.get(), "x", 1), 1);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(is_alive(peer->pidfd));
}

TEST(Credentials, OfAProcessThatHasGoneAreAnError) {
  sockaddr_un address;
  socklen_t size;
  const Fd listener = listening(address, size);
  const pid_t child = ::fork();
  if (child == 0) {
    const int socket = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
    ::_exit(::connect(socket, reinterpret_cast<sockaddr*>(&address), size) == 0 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  const Fd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const int before = open_fds();
  const auto peer = peer_credentials(socket.get());
  ASSERT_FALSE(peer);
  EXPECT_EQ(peer.error().code, ESRCH);
  EXPECT_EQ(open_fds(), before);
}

TEST(Credentials, OfSomethingElseThanASocketAreAnError) {
  const Fd file = testing::memory_file();
  EXPECT_EQ(peer_credentials(file.get()).error().code, ENOTSOCK);
}

}  // namespace
}  // namespace uarena::ipc
