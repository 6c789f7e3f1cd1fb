// What a client sees of a refused fault, in all the ways it can receive (or avoid) a SIGSEGV.
#include "uffd/segv.h"

#include <gmock/gmock.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <map>
#include <new>
#include <thread>

#include "tests/uffd/child.h"
#include "tests/uffd/client.h"
#include "uffd/event_reader.h"

namespace uarena::uffd {
namespace {

using namespace testing;

constexpr uint64_t kTouched = kArena + 5 * kPageSize + 0x123;
constexpr int kSigioCode = -5;

// Refuses every fault of a child until it has ended or tells that it is done.
class Refused : public ::testing::Test {
 protected:
  void start(const std::function<void(Line&)>& after_attach, Mode mode = Mode::user_only,
             unsigned long clone_flags = 0) {
    child_.emplace(
        [this, &after_attach, mode](Line& line) {
          const Fd own = attach(line, memory_, mode);
          after_attach(line);
        },
        clone_flags);
    auto adopted = Userfaultfd::adopt_untrusted(child_->line().receive_fd(), kArena, kArenaBytes);
    ASSERT_TRUE(adopted) << adopted.error().message;
    uffd_ = std::move(*adopted);
    peer_ = child_->peer();
    ASSERT_TRUE(child_->line().go());
  }

  // Next fault of the child; empty when the child ends or speaks first.
  std::optional<Fault> next_fault() {
    for (;;) {
      const auto batch = reader_.read(uffd_.fd());
      if (!batch.events.empty()) {
        EXPECT_EQ(batch.events.size(), 1u);
        return batch.events[0].fault;
      }
      pollfd wait[] = {{uffd_.fd(), POLLIN, 0}, {peer_.pidfd.get(), POLLIN, 0}};
      if (::poll(wait, 2, kLimitMs) < 1) ADD_FAILURE() << "neither fault nor end";
      if ((wait[0].revents & POLLIN) == 0) return std::nullopt;
    }
  }
  void refuse_until_end() {
    while (const auto fault = next_fault()) {
      last_ = *fault;
      ++results_[sender_.refuse(uffd_, peer_, *fault)];
    }
  }

  Fd memory_ = make_memory();
  std::optional<Child> child_;
  Userfaultfd uffd_;
  Peer peer_;
  EventReader reader_;
  SegvSender sender_;
  Fault last_;
  std::map<SegvResult, int> results_;
};

void report_touch(Line& line, bool write, int returns = 0) {
  line.send(touch_caught(kTouched, write, returns));
}

TEST_F(Refused, HandlerSeesTheExactAddress) {
  for (const bool write : {false, true}) {
    start([write](Line& line) { report_touch(line, write); });
    refuse_until_end();
    const auto report = child_->line().receive<SegvReport>();
    ASSERT_TRUE(report);
    EXPECT_EQ(report->signal, SIGSEGV);
    EXPECT_EQ(report->code, kSigioCode);
    EXPECT_EQ(report->address, kTouched);
    EXPECT_EQ(report->calls, 1);
    EXPECT_EQ(last_.write, write);
    EXPECT_EQ(describe(child_->wait()), "exited 0");
  }
  EXPECT_EQ(results_[SegvResult::signalled], 2);
  EXPECT_EQ(pages_in(memory_), 0u);
}

TEST_F(Refused, HandlerThatReturnsIsAskedAgain) {
  start([](Line& line) { report_touch(line, true, 3); });
  refuse_until_end();
  const auto report = child_->line().receive<SegvReport>();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->signal, SIGSEGV);
  EXPECT_EQ(report->calls, 4);
  EXPECT_EQ(results_[SegvResult::signalled], 4);
  EXPECT_EQ(results_[SegvResult::again], 3);  // whether it means it
  EXPECT_EQ(results_.size(), 2u);
}

// A signal has taken it out of the fault, to a handler in which SIGSEGV is blocked. Nothing may
// come of that: it faults again afterwards, and then it is told.
TEST_F(Refused, WhoHasLeftItsFaultIsLeftAlone) {
  struct Flags {
    std::atomic<bool> inside, release;
  };
  void* shared =
      ::mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  static Flags* flags;
  flags = new (shared) Flags();
  start([](Line& line) {
    struct sigaction action{};
    action.sa_handler = [](int) {
      flags->inside = true;
      while (!flags->release) {
      }
    };
    ::sigaddset(&action.sa_mask, SIGSEGV);
    ::sigaction(SIGUSR1, &action, nullptr);
    report_touch(line, true);
  });
  const auto fault = next_fault();
  ASSERT_TRUE(fault);
  child_->kill(SIGUSR1);
  ASSERT_TRUE(eventually([] { return flags->inside.load(); }));
  EXPECT_EQ(sender_.refuse(uffd_, peer_, *fault), SegvResult::again);
  flags->release = true;
  refuse_until_end();
  const auto report = child_->line().receive<SegvReport>();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->signal, SIGSEGV);
  EXPECT_EQ(report->address, kTouched);
  EXPECT_EQ(results_, (std::map<SegvResult, int>{{SegvResult::signalled, 1}}));
  ::munmap(shared, kPageSize);
}

// Its second message of one access, read when the first was answered, brings no second signal.
TEST_F(Refused, AnOldMessageIsNoSecondSignal) {
  start([](Line& line) {
    report_touch(line, false);
    default_signals();  // where it would end it
    line.wait_go();
  });
  const auto fault = next_fault();
  ASSERT_TRUE(fault);
  EXPECT_EQ(sender_.refuse(uffd_, peer_, *fault), SegvResult::signalled);
  ASSERT_TRUE(child_->line().receive<SegvReport>());
  EXPECT_EQ(sender_.refuse(uffd_, peer_, *fault), SegvResult::again);
  child_->line().go();
  EXPECT_EQ(describe(child_->wait()), "exited 0");
}

TEST_F(Refused, SecondThread) {
  start([](Line& line) { std::thread([&line] { report_touch(line, false); }).join(); });
  refuse_until_end();
  const auto report = child_->line().receive<SegvReport>();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->signal, SIGSEGV);
  EXPECT_EQ(report->address, kTouched);
  EXPECT_NE(last_.ptid, static_cast<uint32_t>(child_->pid()));
}

TEST_F(Refused, WithoutHandlerItDiesBySigsegv) {
  start([](Line&) {
    default_signals();
    store(kTouched, 1);
  });
  refuse_until_end();
  EXPECT_EQ(describe(child_->wait()), "killed by SIGSEGV");
  EXPECT_EQ(results_[SegvResult::signalled], 1);
}

// A thread that was told before is looked at again each time.
class ListenedOnce : public Refused, public ::testing::WithParamInterface<bool> {};

TEST_P(ListenedOnce, AndDoesNotAgain) {
  start([](Line& line) {
    line.send(touch_caught(kTouched, true));
    line.send(touch_caught(kTouched + kPageSize, true));
    default_signals();
    GetParam() ? block_segv() : ignore_segv();
    store(kTouched + 2 * kPageSize, 1);
  });
  refuse_until_end();
  for (int touch = 0; touch < 2; ++touch) {
    const auto report = child_->line().receive<SegvReport>();
    ASSERT_TRUE(report);
    EXPECT_EQ(report->signal, SIGSEGV);
    EXPECT_EQ(report->calls, 1);
  }
  EXPECT_EQ(describe(child_->wait()), "killed by SIGBUS");
  // The second may be seen as one that does not listen, since it does not any more by then.
  EXPECT_GE(results_[SegvResult::signalled], 1);
  EXPECT_GE(results_[SegvResult::poisoned], 1);
}

INSTANTIATE_TEST_SUITE_P(Segv, ListenedOnce, ::testing::Bool(), [](const auto& param) {
  return std::string(param.param ? "Blocked" : "Ignored");
});

TEST_F(Refused, IgnoredEndsBySigbusAndDoesNotSpin) {
  start([](Line&) {
    ignore_segv();
    store(kTouched, 1);
  });
  refuse_until_end();
  EXPECT_EQ(describe(child_->wait()), "killed by SIGBUS");
  EXPECT_EQ(results_, (std::map<SegvResult, int>{{SegvResult::poisoned, 1}}));
}

TEST_F(Refused, BlockedEndsBySigbusAndDoesNotSpin) {
  start([](Line&) {
    block_segv();
    store(kTouched, 1);
  });
  refuse_until_end();
  EXPECT_EQ(describe(child_->wait()), "killed by SIGBUS");
  EXPECT_EQ(results_, (std::map<SegvResult, int>{{SegvResult::poisoned, 1}}));
}

TEST_F(Refused, SystemCallsOfUserModeOnlyGetEfaultByThemselves) {
  start([](Line& line) {
    int ends[2];
    const bool made = ::pipe(ends) == 0 && ::write(ends[1], "hello", 5) == 5;
    const ssize_t got = ::read(ends[0], reinterpret_cast<void*>(kTouched), 5);
    line.send(made && got < 0 ? errno : 0);
  });
  refuse_until_end();
  EXPECT_EQ(child_->line().receive<int>(), EFAULT);
  EXPECT_TRUE(results_.empty());
}

// With a full userfaultfd the fault is inside read(2), where no signal is taken: after a few times
// the page is poisoned, the call gets EFAULT, and then the SIGSEGV arrives.
TEST_F(Refused, SystemCallsOfAFullDescriptorEndToo) {
  if (::geteuid() != 0) GTEST_SKIP() << "a full userfaultfd needs root";
  start(
      [](Line& line) {
        int ends[2];
        const bool made = ::pipe(ends) == 0 && ::write(ends[1], "hello", 5) == 5;
        struct sigaction action{};
        action.sa_handler = [](int) {};
        ::sigaction(SIGSEGV, &action, nullptr);
        const ssize_t got = ::read(ends[0], reinterpret_cast<void*>(kTouched), 5);
        line.send(made && got < 0 ? errno : 0);
      },
      Mode::full);
  refuse_until_end();
  EXPECT_EQ(child_->line().receive<int>(), EFAULT);
  EXPECT_GE(results_[SegvResult::poisoned], 1);  // it asks until it is done
  EXPECT_LE(results_[SegvResult::signalled], 4);
  EXPECT_EQ(describe(child_->wait()), "exited 0");
}

TEST_F(Refused, OtherPidNamespace) {
  if (::geteuid() != 0) GTEST_SKIP() << "CLONE_NEWPID needs root";
  start([](Line& line) { std::thread([&line] { report_touch(line, true); }).join(); },
        Mode::user_only, CLONE_NEWPID);
  refuse_until_end();
  const auto report = child_->line().receive<SegvReport>();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->signal, SIGSEGV);
  EXPECT_EQ(report->code, kSigioCode);
  EXPECT_EQ(report->address, kTouched);
  EXPECT_EQ(last_.ptid, 2u);
}

// The init of a pid namespace takes no signal that it has no handler for, not even this one.
TEST_F(Refused, NamespaceInitWithoutHandlerEndsBySigbus) {
  if (::geteuid() != 0) GTEST_SKIP() << "CLONE_NEWPID needs root";
  start(
      [](Line&) {
        default_signals();
        store(kTouched, 1);
      },
      Mode::user_only, CLONE_NEWPID);
  refuse_until_end();
  EXPECT_EQ(describe(child_->wait()), "killed by SIGBUS");
  EXPECT_EQ(last_.ptid, 1u);
}

// The descriptor may be of someone whom the peer could not signal itself.
TEST_F(Refused, APeerOfAnotherUidGetsNoSignalSent) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs a second uid";
  start([](Line&) {
    default_signals();
    store(kTouched, 1);
  });
  peer_.uid = 65534;
  refuse_until_end();
  EXPECT_EQ(describe(child_->wait()), "killed by SIGBUS");
}

TEST_F(Refused, AThreadThatIsNotThePeersIsPoisonedOut) {
  start([](Line&) {
    default_signals();
    store(kTouched, 1);
  });
  Child other([](Line& line) { line.wait_go(); });
  peer_ = child_->peer();
  const auto fault = next_fault();
  ASSERT_TRUE(fault);
  EXPECT_EQ(sender_.refuse(uffd_, other.peer(), *fault), SegvResult::poisoned);
  EXPECT_EQ(describe(child_->wait()), "killed by SIGBUS");
  other.line().go();
  EXPECT_EQ(describe(other.wait()), "exited 0");
}

TEST_F(Refused, KilledInTheFaultIsGone) {
  start([](Line&) { store(kTouched, 1); });
  const auto fault = next_fault();
  ASSERT_TRUE(fault);
  child_->kill(SIGKILL);
  EXPECT_EQ(describe(child_->wait()), "killed by SIGKILL");
  EXPECT_EQ(sender_.refuse(uffd_, peer_, *fault), SegvResult::gone);
}

// Poison outlives the allocation of the page; mapping the file's page over it takes it back.
TEST_F(Refused, PoisonCanBeTakenBackOnceThePageExists) {
  start([](Line& line) {
    block_segv();
    line.send(touch_caught(kTouched, false));
    line.wait_go();
    line.send(load(kTouched));
  });
  const auto fault = next_fault();
  ASSERT_TRUE(fault);
  ASSERT_EQ(sender_.refuse(uffd_, peer_, *fault), SegvResult::poisoned);
  const auto report = child_->line().receive<SegvReport>();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->signal, SIGBUS);
  EXPECT_EQ(report->address, kTouched);
  put_byte(memory_, kTouched - kArena, 42);
  EXPECT_EQ(uffd_.map_present(kTouched & kPageMask, kPageSize).error, 0);
  child_->line().go();
  EXPECT_EQ(child_->line().receive<uint8_t>(), 42);
}

}  // namespace
}  // namespace uarena::uffd
