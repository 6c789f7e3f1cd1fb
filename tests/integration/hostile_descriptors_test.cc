// What comes instead of the userfaultfd that an attach wants: other kinds of descriptors, and
// userfaultfds that are used, another process's, or gone at once.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "tests/integration/hostile_fixture.h"
#include "tests/parity/in_child.h"
#include "uffd/uapi.h"

namespace uarena::testing {
namespace {

class HostileDescriptors : public Hostile {
 protected:
  // The broker's answer to an attach with this descriptor, of a client that has mapped the arena.
  int answer_to(Fd fd) {
    RawClient client(broker_.socket());
    const Fd file = attach(client);
    const ArenaMapping mapping(file.get(), info_);
    const auto ready = client.ready(info_.id, std::move(fd));
    return ready ? 0 : ready.error().error.code;
  }
  static Fd again(int fd, int flags) {
    return Fd(::open(fmt::format("/proc/self/fd/{}", fd).c_str(), flags | O_CLOEXEC));
  }
};

TEST_F(HostileDescriptors, OtherKinds) {
  std::vector<Fd> fds;
  fds.emplace_back(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_EQ(::unlockpt(fds.back().get()), 0);
  char terminal[64];
  ASSERT_EQ(::ptsname_r(fds.back().get(), terminal, sizeof terminal), 0);
  fds.emplace_back(::open(terminal, O_RDWR | O_NOCTTY | O_CLOEXEC));
  fds.emplace_back(::epoll_create1(EPOLL_CLOEXEC));
  sigset_t none;
  ::sigemptyset(&none);
  fds.emplace_back(::signalfd(-1, &none, SFD_CLOEXEC));
  fds.emplace_back(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  fds.emplace_back(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  fds.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  fds.emplace_back(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  fds.emplace_back(::open("/proc/self/mem", O_RDWR | O_CLOEXEC));
  fds.emplace_back(::open("/dev/zero", O_RDWR | O_CLOEXEC));
  for (const char* path : {"/", "/dev/null", "/proc/self/exe"})
    fds.emplace_back(::open(path, O_PATH | O_CLOEXEC));
  // Named like one, but nothing can be asked of it.
  const Fd real = RawClient::userfaultfd();
  fds.push_back(again(real.get(), O_PATH));
  if (::access("/dev/userfaultfd", R_OK | W_OK) == 0)
    fds.emplace_back(::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
  for (size_t i = 0; i < fds.size(); ++i) {
    ASSERT_TRUE(fds[i]) << i;
    EXPECT_EQ(answer_to(std::move(fds[i])), EBADF) << i;
  }
}

// Whoever made the first call chose the features, which the broker must choose.
TEST_F(HostileDescriptors, SetUpAlready) {
  Fd fd = RawClient::userfaultfd();
  uffdio_api api{};
  api.api = UFFD_API;
  ASSERT_EQ(::ioctl(fd.get(), UFFDIO_API, &api), 0);
  EXPECT_EQ(answer_to(std::move(fd)), EINVAL);
}

TEST_F(HostileDescriptors, RangeOfAnotherOfItsUserfaultfds) {
  RawClient client(broker_.socket());
  const Fd file = attach(client);
  const ArenaMapping mapping(file.get(), info_);
  const Fd first = RawClient::userfaultfd();
  uffdio_api api{};
  api.api = UFFD_API;
  uffdio_register range{};
  range.range = {info_.user_vm_start, mapping.size()};
  range.mode = UFFDIO_REGISTER_MODE_MISSING;
  ASSERT_EQ(::ioctl(first.get(), UFFDIO_API, &api), 0);
  ASSERT_EQ(::ioctl(first.get(), UFFDIO_REGISTER, &range), 0);
  EXPECT_EQ(client.ready(info_.id, RawClient::userfaultfd()).error().error.code, EBUSY);
}

// A process that hands its userfaultfd, made in `prepare`, to its parent, and goes on with `body`
// when the parent says so.
class Lender {
 public:
  Lender(int file, const uarena_arena_info& info) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
      throw std::runtime_error("socketpair");
    mine_ = Fd(pair[0]);
    const Fd theirs(pair[1]);
    pid_ = ::fork();
    if (pid_ == 0) lend(theirs.get(), file, info);
    ipc::Record record = ipc::receive_record(mine_.get()).value();
    userfaultfd = std::move(record.fds.at(0));
  }
  ~Lender() {
    if (pid_ > 0) end(SIGKILL);
  }
  Lender(const Lender&) = delete;
  Lender& operator=(const Lender&) = delete;
  // Has it touch a page; how it ends, as from waitpid.
  int touch() {
    const std::byte go[1] = {};
    EXPECT_TRUE(ipc::send_record(mine_.get(), go));
    return end(0);
  }
  int end(int signal) {
    if (signal != 0) ::kill(pid_, signal);
    int status = -1;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }

  Fd userfaultfd;

 private:
  [[noreturn]] static void lend(int to, int file, const uarena_arena_info& info) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    const ArenaMapping mapping(file, info);
    ipc::Record record;
    record.bytes.resize(1);
    record.fds.push_back(RawClient::userfaultfd());
    if (!ipc::send_record(to, record)) ::_exit(1);
    record.fds.clear();
    if (!ipc::receive_record(to)) ::_exit(2);
    mapping.page(7)[0] = 1;
    ::_exit(0);
  }

  Fd mine_;
  pid_t pid_ = -1;
};

// Its memory, its faults: they are answered like the client's own. But it is not the peer of this
// connection, so it is sent no signal: where the page is refused, the page is poisoned for it.
TEST_F(HostileDescriptors, OfAnotherProcess) {
  RawClient maker(broker_.socket());
  ASSERT_TRUE(maker.hello());
  const auto strict = maker.create("strict", 1024, kBpfFSegvOnFault);
  ASSERT_TRUE(strict);
  {
    RawClient client(broker_.socket());
    const Fd file = attach(client);
    Lender lender(file.get(), info_);
    ASSERT_TRUE(client.ready(info_.id, std::move(lender.userfaultfd)));
    const int served = lender.touch();
    EXPECT_TRUE(WIFEXITED(served) && WEXITSTATUS(served) == 0) << served;

    const auto attached = client.attach(strict->body.info.id);
    ASSERT_TRUE(attached);
    Lender other(attached->fds.at(0).get(), strict->body.info);
    ASSERT_TRUE(client.ready(strict->body.info.id, std::move(other.userfaultfd)));
    const int refused = other.touch();
    EXPECT_TRUE(WIFSIGNALED(refused) && WTERMSIG(refused) == SIGBUS) << refused;
  }
  ASSERT_TRUE(broker_.wait_for_log("event=client.gone"));
  uarena_arena_ref ref{};
  ref.id = strict->body.info.id;
  // The attachment ends a moment after its client.
  for (int i = 0; i < 1000 && !maker.ask<uarena_empty>(UARENA_MSG_ARENA_DELETE, ref); ++i)
    ::sched_yield();
}

TEST_F(HostileDescriptors, OfAProcessThatIsGone) {
  RawClient client(broker_.socket());
  const Fd file = attach(client);
  Lender lender(file.get(), info_);
  Fd fd = std::move(lender.userfaultfd);
  lender.end(SIGKILL);
  const auto ready = client.ready(info_.id, std::move(fd));
  ASSERT_FALSE(ready);
  EXPECT_TRUE(ready.error().error.code == ESRCH || ready.error().error.code == ENOMEM)
      << ready.error().error.message;
  EXPECT_TRUE(client.detach(info_.id));
}

// The connection, and with it the mapping, before the broker can have answered.
TEST_F(HostileDescriptors, ClosedAtOnce) {
  for (int i = 0; i < 50; ++i) {
    RawClient client(broker_.socket());
    const Fd file = attach(client);
    const ArenaMapping mapping(file.get(), info_);
    uarena_attach_ready body{};
    body.arena_id = info_.id;
    client.post(UARENA_MSG_ATTACH_READY, body, {}, RawClient::userfaultfd());
    if (i % 2 == 0) client.close();
  }
}

}  // namespace
}  // namespace uarena::testing
