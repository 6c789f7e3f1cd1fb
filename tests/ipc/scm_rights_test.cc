// Records and their descriptors over real sockets: what arrives, what is refused, and that nothing
// stays open.
#include "ipc/scm_rights.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <csignal>
#include <thread>

#include "ipc/abi.h"
#include "tests/ipc/ipc_testing.h"

namespace uarena::ipc {
namespace {

using testing::memory_file;
using testing::open_fds;
using testing::same_file;
using testing::socket_pair;

std::vector<std::byte> bytes(size_t size, int fill = 7) { return {size, std::byte(fill)}; }

// Below scm_rights.h, as a peer that keeps no rules would send.
void raw_send(int socket, size_t size, const std::vector<int>& fds) {
  std::vector<std::byte> content = bytes(size);
  std::vector<std::byte> control(CMSG_SPACE(fds.size() * sizeof(int)));
  iovec vector{content.data(), content.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  }
  ASSERT_EQ(::sendmsg(socket, &message, 0), static_cast<ssize_t>(size)) << strerror(errno);
}

// What was sent before anybody asked for credentials counts too, and so does what looks like the
// end.
TEST(ScmRights, TheRestIsReadToItsEndAndNoFurther) {
  auto [a, b] = socket_pair();
  const size_t before = open_fds();
  const Fd file = memory_file();
  raw_send(a.get(), 0, {});
  raw_send(a.get(), 5, {file.get(), file.get()});
  raw_send(a.get(), 0, {file.get()});
  ASSERT_EQ(::shutdown(b.get(), SHUT_RDWR), 0);
  EXPECT_EQ(receive_the_rest(b.get()), 3u);
  EXPECT_EQ(receive_the_rest(b.get()), 0u);
  EXPECT_EQ(receive_the_rest(file.get()), 0u);  // no socket
  EXPECT_EQ(open_fds(), before + 1);
}

TEST(ScmRights, CarriesBytesAndDescriptors) {
  auto [a, b] = socket_pair();
  const Fd first = memory_file(), second = memory_file();
  const std::array<int, 2> fds{first.get(), second.get()};
  ASSERT_TRUE(send_record(a.get(), bytes(100, 42), fds));

  const Result<Record> record = receive_record(b.get());
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->bytes, bytes(100, 42));
  ASSERT_EQ(record->fds.size(), 2u);
  EXPECT_TRUE(same_file(record->fds[0].get(), first.get()));
  EXPECT_TRUE(same_file(record->fds[1].get(), second.get()));
  EXPECT_EQ(::fcntl(record->fds[0].get(), F_GETFD), FD_CLOEXEC);
}

TEST(ScmRights, KeepsRecordsApartUpToTheLargest) {
  auto [a, b] = socket_pair();
  std::thread sender([&, s = a.get()] {
    EXPECT_TRUE(send_record(s, bytes(1, 1)));
    EXPECT_TRUE(send_record(s, bytes(UARENA_MAX_RECORD, 2)));
    EXPECT_TRUE(send_record(s, bytes(3, 3)));
  });
  EXPECT_EQ(receive_record(b.get())->bytes, bytes(1, 1));
  EXPECT_EQ(receive_record(b.get())->bytes, bytes(UARENA_MAX_RECORD, 2));
  EXPECT_EQ(receive_record(b.get())->bytes, bytes(3, 3));
  sender.join();
}

TEST(ScmRights, TellsEmptyFromEnd) {
  auto [a, b] = socket_pair();
  EXPECT_EQ(receive_record(b.get(), Wait::no).error().code, EAGAIN);
  a.reset();
  EXPECT_EQ(receive_record(b.get(), Wait::no).error().code, kEndOfFile);
  EXPECT_EQ(receive_record(b.get()).error().code, kEndOfFile);
}

TEST(ScmRights, AnEmptyRecordWithADescriptorIsTheEndAndClosesIt) {
  auto [a, b] = socket_pair();
  const Fd file = memory_file();
  raw_send(a.get(), 0, {file.get()});
  const int before = open_fds();
  EXPECT_EQ(receive_record(b.get(), Wait::no).error().code, kEndOfFile);
  EXPECT_EQ(open_fds(), before);
}

TEST(ScmRights, TooManyDescriptorsAreRefusedAndClosed) {
  auto [a, b] = socket_pair();
  const Fd file = memory_file();
  const int before = open_fds();
  raw_send(a.get(), 10, std::vector<int>(UARENA_MAX_FDS + 1, file.get()));
  EXPECT_EQ(receive_record(b.get()).error().code, EPROTO);
  EXPECT_EQ(open_fds(), before);

  raw_send(a.get(), 10, std::vector<int>(UARENA_MAX_FDS, file.get()));
  EXPECT_EQ(receive_record(b.get())->fds.size(), size_t{UARENA_MAX_FDS});
  EXPECT_EQ(open_fds(), before);
}

TEST(ScmRights, TooLargeARecordIsRefusedWithItsDescriptors) {
  auto [a, b] = socket_pair();
  const Fd file = memory_file();
  const int before = open_fds();
  raw_send(a.get(), UARENA_MAX_RECORD + 1, {file.get()});
  EXPECT_EQ(receive_record(b.get()).error().code, EMSGSIZE);
  EXPECT_EQ(open_fds(), before);
  ASSERT_TRUE(send_record(a.get(), bytes(5)));
  EXPECT_EQ(receive_record(b.get())->bytes, bytes(5));
}

TEST(ScmRights, DescriptorsThatThisProcessCannotOpenAreAnError) {
  auto [a, b] = socket_pair();
  const Fd file = memory_file();
  raw_send(a.get(), 10, {file.get(), file.get()});
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  // Room for one more: the lowest free number is the last that is allowed.
  const Fd lowest(::dup(file.get()));
  const rlimit tight{static_cast<rlim_t>(lowest.get()) + 1, old.rlim_max};
  const int number = lowest.get();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  const Result<Record> record = receive_record(b.get());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, EPROTO);
  const Fd next(::dup(file.get()));
  EXPECT_EQ(next.get(), number + 1);  // nothing stayed behind
}

TEST(ScmRights, SendingToNobodyIsAnErrorAndNoSignal) {
  auto [a, b] = socket_pair();
  b.reset();
  const Result<void> sent = send_record(a.get(), bytes(5));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, EPIPE);
}

TEST(ScmRights, AFullSocketIsEagainAndLosesNothing) {
  auto [a, b] = socket_pair();
  size_t sent = 0;
  while (true) {
    const Result<void> result = send_record(a.get(), bytes(20000), {}, Wait::no);
    if (!result) {
      EXPECT_EQ(result.error().code, EAGAIN);
      break;
    }
    ++sent;
  }
  EXPECT_GT(sent, 0u);
  size_t received = 0;
  while (receive_record(b.get(), Wait::no)) ++received;
  EXPECT_EQ(received, sent);
}

TEST(ScmRights, InterruptedReceivingGoesOn) {
  auto [a, b] = socket_pair();
  struct sigaction action{}, old{};
  action.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &old), 0);  // without SA_RESTART
  std::atomic<int> signals{0};
  std::atomic<bool> done{false};
  std::thread receiver([&, s = b.get()] {
    EXPECT_EQ(receive_record(s)->bytes, bytes(4));
    done = true;
  });
  for (; signals < 100; ++signals) ::pthread_kill(receiver.native_handle(), SIGUSR1);
  EXPECT_FALSE(done);
  ASSERT_TRUE(send_record(a.get(), bytes(4)));
  receiver.join();
  ::sigaction(SIGUSR1, &old, nullptr);
}

}  // namespace
}  // namespace uarena::ipc
