// Descriptors whose closing takes seconds: the caller must not be the one who waits.
#include "ipc/close_untrusted.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <chrono>

#include "ipc/abi.h"
#include "ipc/base/uapi.h"
#include "ipc/scm_rights.h"
#include "tests/support/send_fds.h"

namespace uarena::ipc {
namespace {

using namespace std::chrono_literals;

// A TCP socket with more to send than its peer takes, and SO_LINGER for a time that a test sees.
class LingeringSocket {
 public:
  LingeringSocket() {
    Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* name = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener.get(), name, size), 0);
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    EXPECT_EQ(::getsockname(listener.get(), name, &size), 0);
    near_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(near_.get(), name, size), 0);
    far_.reset(::accept(listener.get(), nullptr, nullptr));
    const linger wait{1, 3};
    EXPECT_EQ(::setsockopt(near_.get(), SOL_SOCKET, SO_LINGER, &wait, sizeof wait), 0);
    const std::vector<char> bytes(65536);
    while (::send(near_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) continue;
  }
  // The last descriptor goes with it; the peer never reads.
  Fd take() { return std::move(near_); }
  // Lets whoever waits in close go on.
  ~LingeringSocket() {
    const linger reset{1, 0};
    ::setsockopt(far_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }

 private:
  Fd near_, far_;
};

template <typename Act>
auto duration_of(Act act) {
  const auto start = std::chrono::steady_clock::now();
  act();
  return std::chrono::steady_clock::now() - start;
}

std::pair<Fd, Fd> connected() {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

void send_with(const Fd& socket, Fd held) {
  const std::byte byte{1};
  const int fd = held.get();
  ASSERT_TRUE(send_record(socket.get(), std::span(&byte, 1), std::span(&fd, 1)));
}

TEST(CloseUntrusted, KnowsWhatClosesAtOnce) {
  EXPECT_TRUE(closes_at_once(Fd(::memfd_create("uarena-test", MFD_CLOEXEC)).get()));
  EXPECT_TRUE(closes_at_once(Fd(::eventfd(0, EFD_CLOEXEC)).get()));
  EXPECT_FALSE(closes_at_once(connected().first.get()));
}

TEST(CloseUntrusted, NobodyWaitsForALingeringSocket) {
  LingeringSocket socket;
  std::vector<Fd> fds;
  fds.push_back(socket.take());
  EXPECT_LT(duration_of([&] { close_untrusted(std::move(fds)); }), 1s);
}

TEST(CloseUntrusted, WhoeverDropsAReceivedRecordDoesNotWait) {
  LingeringSocket first, second;
  auto [ours, theirs] = connected();
  send_with(theirs, first.take());
  send_with(theirs, second.take());
  EXPECT_LT(duration_of([&] {
              auto record = receive_record(ours.get());
              auto other = receive_record(ours.get());
              ASSERT_TRUE(record && other);
              record->fds = std::move(other->fds);  // lets go of the first
              EXPECT_EQ(record->fds.size(), 1U);
            }),
            1s);
}

// Its last close takes the memory lock of its process, which that process can keep.
TEST(CloseUntrusted, AUserfaultfdMayTakeItsTime) {
  const Fd uffd(
      static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | kUffdUserModeOnly)));
  ASSERT_TRUE(uffd);
  EXPECT_FALSE(closes_at_once(uffd.get()));
}

TEST(CloseUntrusted, AConnectionEndsWithSuchASocketUnread) {
  LingeringSocket socket;
  auto [ours, theirs] = connected();
  ASSERT_EQ(::send(theirs.get(), "", 0, 0), 0);  // looks like the end
  send_with(theirs, socket.take());
  EXPECT_LT(duration_of([&] { close_connection(std::move(ours)); }), 1s);
  EXPECT_EQ(receive_record(theirs.get()).error().code, kEndOfFile);
}

// More descriptors than a record may have: the kernel must not be the one who closes them, for it
// does so in the thread that receives.
TEST(CloseUntrusted, ARecordWithTooManyIsRefusedAtOnce) {
  LingeringSocket socket;
  auto [ours, theirs] = connected();
  Fd held = socket.take();
  std::vector<int> many(UARENA_MAX_FDS, theirs.get());
  many.push_back(held.get());
  ASSERT_TRUE(::uarena::testing::send_fds(theirs.get(), many));
  held.reset();  // from here on only the record holds it
  EXPECT_LT(duration_of([&] { EXPECT_EQ(receive_record(ours.get()).error().code, EPROTO); }), 1s);
}

}  // namespace
}  // namespace uarena::ipc
