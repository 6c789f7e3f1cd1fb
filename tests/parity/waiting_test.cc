// What happens to a client while it waits in a fault: the broker is stopped (SIGSTOP), so that its
// answer takes as long as the test likes. The kernel's arena never lets anybody wait, so ours is
// alone here, but for signals that come faster than refused faults, and for a tracer's looks.
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <new>

#include "tests/parity/client_scenario.h"

namespace uarena::testing {
namespace {

constexpr uint64_t kPage = 5;  // which the client waits for
constexpr uint32_t kSegv = kBpfFMmapable | kBpfFSegvOnFault;

// One line's value in a file of /proc, 0 if it has no such line (or the process has gone).
uint64_t number_of(const std::string& path, const std::string& name, int base) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.rfind(name + ":", 0) == 0)
      return std::stoull(line.substr(name.size() + 1), nullptr, base);
  return 0;
}

// Faults of a process that wait in a userfaultfd, and that nobody has read.
uint64_t unread_faults(pid_t pid) {
  const std::string process = "/proc/" + std::to_string(pid);
  uint64_t found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(process + "/fd")) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry, gone).string();
    if (target.find("userfaultfd") != std::string::npos)
      found += number_of(process + "/fdinfo/" + entry.path().filename().string(), "pending", 10);
  }
  return found;
}

// From now on the broker does nothing, until the end of this.
class Stopped {
 public:
  explicit Stopped(pid_t pid) : pid_(pid) {
    ::kill(pid_, SIGSTOP);
    const std::string stat = "/proc/" + std::to_string(pid_) + "/stat";
    EXPECT_TRUE(eventually([&] {
      std::string text;
      std::getline(std::ifstream(stat), text);
      return text.find(") T ") != std::string::npos;
    }));
  }
  ~Stopped() { go_on(); }
  Stopped(const Stopped&) = delete;
  Stopped& operator=(const Stopped&) = delete;
  void go_on() const { ::kill(pid_, SIGCONT); }

 private:
  pid_t pid_;
};

// A number that a client's signal handler counts, and the test sees.
class SharedCount {
 public:
  SharedCount() {
    void* memory =
        ::mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap");
    count_ = new (memory) std::atomic<uint64_t>(0);
  }
  ~SharedCount() { ::munmap(count_, kPageSize); }
  SharedCount(const SharedCount&) = delete;
  SharedCount& operator=(const SharedCount&) = delete;
  uint64_t get() const { return count_->load(); }
  // In the client: a signal every `microseconds`, counted.
  void start_storm(suseconds_t microseconds) const {
    static std::atomic<uint64_t>* counted;
    counted = count_;
    struct sigaction action{};
    action.sa_handler = [](int) { ++*counted; };
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGALRM, &action, nullptr);
    const itimerval often{{0, microseconds}, {0, microseconds}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
  }

 private:
  std::atomic<uint64_t>* count_;
};

int64_t read_zeros(char* to) {
  const Fd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  return ::read(zero.get(), to, kPageSize);
}

template <typename Side>
class Waiting : public ClientScenario<Side> {
 protected:
  void SetUp() override {
    ClientScenario<Side>::SetUp();
    if (this->IsSkipped()) return;
    this->expect_others_served();  // what the broker makes once, it has made
    before_ = this->side_->broker().resources();
  }
  // A client that does `what` when it is told to; it has the arena mapped when this returns.
  template <typename What>
  void start(What&& what) {
    client_.emplace([&](Line& line) {
      const Mapped mapped = this->side_->map_again();
      line.go();
      if (line.wait_go()) line.send(what(mapped.base));
    });
    ASSERT_TRUE(client_->line().wait_go());
  }
  void wait_until_it_waits() {
    ASSERT_TRUE(eventually([&] { return unread_faults(client_->pid()) == 1; }));
  }
  void expect_killed() {
    client_->kill(SIGKILL);
    EXPECT_EQ(describe(client_->wait()), "killed by SIGKILL");
  }
  void expect_nothing_left() {
    this->expect_nobody_left();
    EXPECT_TRUE(this->side_->broker().wait_for_resources(before_));
    this->expect_others_served(kPage);
  }

  std::optional<Child> client_;
  Resources before_;
};
using WaitingSides = ::testing::Types<OurSide, NobodySide>;
TYPED_TEST_SUITE(Waiting, WaitingSides, SideName);

TYPED_TEST(Waiting, KilledInAFault) {
  this->start([](char* base) { return store_page(base, kPage); });
  {
    const Stopped stopped(this->side_->broker().pid());
    this->client_->line().go();
    this->wait_until_it_waits();
    this->expect_killed();
  }
  this->expect_nothing_left();
}

TYPED_TEST(Waiting, SignalsDuringAFault) {
  const SharedCount signals;
  this->start([&](char* base) {
    signals.start_storm(1000);
    return store_page(base, kPage);
  });
  {
    const Stopped stopped(this->side_->broker().pid());
    this->client_->line().go();
    EXPECT_TRUE(eventually([&] { return signals.get() >= 20; }));  // handlers run meanwhile
    EXPECT_FALSE(this->client_->line().readable(0));
  }
  EXPECT_EQ(this->client_->line().template receive<int>(), kFine);
  EXPECT_EQ(describe(this->client_->wait()), "exited 0");
  EXPECT_EQ(this->peek(kPage), 1u);
  this->expect_nothing_left();
}

// A stop and a tracer's look at the registers do not have to wait for the broker either.
TYPED_TEST(Waiting, TracedInAFault) {
  this->start([](char* base) { return store_page(base, kPage); });
  const pid_t pid = this->client_->pid();
  {
    const Stopped stopped(this->side_->broker().pid());
    this->client_->line().go();
    this->wait_until_it_waits();
    ASSERT_EQ(::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr), 0);
    ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr), 0);
    int status = 0;
    ASSERT_TRUE(eventually([&] { return ::waitpid(pid, &status, WNOHANG) == pid; }));
    EXPECT_TRUE(WIFSTOPPED(status));
  }
  this->expect_others_served(kPage);  // the page is there; the client still stands
  EXPECT_FALSE(this->client_->line().readable(0));
  ASSERT_EQ(::ptrace(PTRACE_DETACH, pid, nullptr, nullptr), 0);
  EXPECT_EQ(this->client_->line().template receive<int>(), kFine);
  EXPECT_EQ(describe(this->client_->wait()), "exited 0");
  this->expect_nothing_left();
}

// --- in a system call: with a full userfaultfd alone ---

using WaitingInACall = Waiting<OurSide>;

TEST_F(WaitingInACall, Killed) {
  start([](char* base) { return read_zeros(base + kPage * kPageSize); });
  {
    const Stopped stopped(side_->broker().pid());
    client_->line().go();
    wait_until_it_waits();
    expect_killed();
  }
  expect_nothing_left();
}

// Such a fault can't be interrupted: the kernel asks for the page again and again while a signal is
// pending, and takes the signal when the call is over.
TEST_F(WaitingInACall, SignalsAreTakenAfterTheAnswer) {
  const SharedCount signals;
  start([&](char* base) {
    const Fd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
    signals.start_storm(50'000);
    return static_cast<int64_t>(::read(zero.get(), base + kPage * kPageSize, kPageSize));
  });
  uint64_t taken = 0;
  {
    const Stopped stopped(side_->broker().pid());
    client_->line().go();
    const std::string status = "/proc/" + std::to_string(client_->pid()) + "/status";
    ASSERT_TRUE(
        eventually([&] { return (number_of(status, "ShdPnd", 16) & (1u << (SIGALRM - 1))) != 0; }));
    taken = signals.get();
  }
  EXPECT_EQ(client_->line().receive<int64_t>(), static_cast<int64_t>(kPageSize));
  EXPECT_GT(signals.get(), taken);
  EXPECT_EQ(describe(client_->wait()), "exited 0");
  expect_nothing_left();
}

TEST_F(WaitingInACall, KilledAmongSignals) {
  const SharedCount signals;
  start([&](char* base) {
    signals.start_storm(1000);
    return read_zeros(base + kPage * kPageSize);
  });
  {
    const Stopped stopped(side_->broker().pid());
    client_->line().go();
    const std::string status = "/proc/" + std::to_string(client_->pid()) + "/status";
    ASSERT_TRUE(eventually([&] { return number_of(status, "ShdPnd", 16) != 0; }));
    expect_killed();
  }
  expect_nothing_left();
}

// --- with the kernel's arena, too ---

template <typename Side>
class Storm : public ClientScenario<Side> {};
using RefusingSides = ::testing::Types<KernelSide, OurSide, NobodySide>;
TYPED_TEST_SUITE(Storm, RefusingSides, SideName);

TYPED_TEST(Storm, EveryRefusalIsSeenAmongSignals) {
  this->side_.emplace(kSegv);
  const SharedCount signals;
  struct Seen {
    int refused, in_place;
  };
  const Seen seen = this->in_client([&](const Mapped& mapped) {
    signals.start_storm(200);
    Seen now{};
    while (signals.get() < 100) {
      const auto at = reinterpret_cast<uint64_t>(mapped.base) + kPage * kPageSize +
                      static_cast<uint64_t>(now.refused % kPageSize);
      const auto signal = touch(at);
      if (!signal) break;
      ++now.refused;
      now.in_place += signal->si_signo == SIGSEGV && signal->si_code == TypeParam::kSignalCode &&
                      reinterpret_cast<uint64_t>(signal->si_addr) == at;
    }
    return now;
  });
  EXPECT_GE(signals.get(), 100u);
  EXPECT_GT(seen.refused, 0);
  EXPECT_EQ(seen.in_place, seen.refused);
  EXPECT_EQ(this->taken(), 0u);
}

// A tracer's access to an absent page is of a kind in which the kernel does not wait for anybody: a
// broker can't serve it, whatever the userfaultfd.
template <typename Side>
class Tracer : public ClientScenario<Side> {
 protected:
  // The errnos of PTRACE_PEEKDATA and PTRACE_POKEDATA in a stopped client.
  std::pair<int, int> look_at(uint64_t page) {
    Child client([&](Line& line) {
      this->side_->map_again();
      line.go();
      line.wait_go();
    });
    EXPECT_TRUE(client.line().wait_go());
    const pid_t pid = client.pid();
    EXPECT_EQ(::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr), 0);
    EXPECT_EQ(::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr), 0);
    EXPECT_TRUE(eventually([&] { return ::waitpid(pid, nullptr, WNOHANG) == pid; }));
    errno = 0;
    ::ptrace(PTRACE_PEEKDATA, pid, pointer(this->side_->at(page)), nullptr);
    const int peeked = errno;
    errno = 0;
    ::ptrace(PTRACE_POKEDATA, pid, pointer(this->side_->at(page)), pointer(7));
    const int poked = errno;
    EXPECT_EQ(::ptrace(PTRACE_DETACH, pid, nullptr, nullptr), 0);
    client.line().go();
    EXPECT_EQ(describe(client.wait()), "exited 0");
    return {peeked, poked};
  }
};
TYPED_TEST_SUITE(Tracer, AllSides, SideName);

TYPED_TEST(Tracer, LooksAtAbsentPagesAndPresentOnes) {
  constexpr bool kKernelFills = TypeParam::kKernels || std::is_same_v<TypeParam, DirectSide>;
  const int absent = kKernelFills ? 0 : EIO;
  EXPECT_EQ(this->look_at(kPage), std::pair(absent, absent));
  EXPECT_EQ(this->taken(), kKernelFills ? 1u << kPage : 0u);
  EXPECT_FALSE(touch(this->side_->at(kPage)));
  EXPECT_EQ(this->look_at(kPage), std::pair(0, 0));
  EXPECT_EQ(this->peek(kPage), 7u);
}

template <typename Side>
class TracerSegv : public Tracer<Side> {};
TYPED_TEST_SUITE(TracerSegv, RefusingSides, SideName);

TYPED_TEST(TracerSegv, IsRefusedAbsentPages) {
  this->side_.emplace(kSegv);
  EXPECT_EQ(this->look_at(kPage), std::pair(EIO, EIO));
  EXPECT_EQ(this->taken(), 0u);
}

}  // namespace
}  // namespace uarena::testing
