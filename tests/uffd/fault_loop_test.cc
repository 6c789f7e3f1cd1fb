// The fault loop with real clients in real processes: served, refused, dying, hostile, many.
#include "uffd/fault_loop.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "tests/uffd/child.h"
#include "tests/uffd/client.h"
#include "tests/uffd/resolvers.h"
#include "uffd/uapi.h"

namespace uarena::uffd {
namespace {

using namespace testing;

// Children are forked before the loop's threads start where it matters (CLONE_NEWPID; threads in
// the child, for TSan).
class Loop : public ::testing::Test {
 protected:
  struct Client {
    Client(const std::function<void(Line&)>& body, unsigned long clone_flags)
        : child(body, clone_flags) {}
    Child child;
    std::shared_ptr<FaultCounters> counters = std::make_shared<FaultCounters>();
    FaultLoop::Id id = 0;
  };
  // Runs `body` in a child after it has attached; `own` is its copy of the userfaultfd.
  using Body = std::function<void(Line& line, Fd& own)>;
  std::unique_ptr<Client> client(const Body& body, Mode mode = Mode::user_only,
                                 unsigned long clone_flags = 0) {
    return std::make_unique<Client>(
        [&](Line& line) {
          Fd own = attach(line, memory_, mode);
          body(line, own);
        },
        clone_flags);
  }
  void start(unsigned threads = 2) {
    auto made = FaultLoop::create(threads);
    ASSERT_TRUE(made) << made.error().message;
    loop_ = std::move(*made);
  }
  void adopt(Client& client, std::shared_ptr<Resolver> resolver, uint32_t around = 1) {
    auto uffd = Userfaultfd::adopt_untrusted(client.child.line().receive_fd(), kArena, kArenaBytes);
    ASSERT_TRUE(uffd) << uffd.error().message;
    auto id = loop_->adopt(std::move(*uffd), client.child.peer(), resolver,
                           FaultAudience{client.counters}, around);
    ASSERT_TRUE(id) << id.error().message;
    client.id = *id;
    ASSERT_TRUE(client.child.line().go());
  }
  // The client's final numbers.
  FaultCounts finish(Client& client) {
    EXPECT_TRUE(loop_->drop(client.id));
    return client.counters->read();
  }

  Fd memory_ = make_memory();
  std::shared_ptr<FillingResolver> fill_ = std::make_shared<FillingResolver>(memory_);
  std::shared_ptr<RefusingResolver> refuse_ = std::make_shared<RefusingResolver>();
  std::unique_ptr<FaultLoop> loop_;
};

void touch_pages(uint64_t first, uint64_t count) {
  for (uint64_t i = first; i < first + count; ++i)
    store(page_address(i) + 7, static_cast<uint8_t>(i));
}

TEST_F(Loop, ServesAChildAtAFixedAddress) {
  start();
  auto one = client([](Line&, Fd&) { touch_pages(0, 50); });
  adopt(*one, fill_);
  EXPECT_EQ(describe(one->child.wait()), "exited 0");
  for (uint64_t i = 0; i < 50; ++i) EXPECT_EQ(get_byte(memory_, i * kPageSize + 7), i);
  EXPECT_EQ(pages_in(memory_), 50u);
  const FaultCounts counts = finish(*one);
  EXPECT_EQ(counts.served(), 50u);
  EXPECT_EQ(counts.refused() + counts.of(FaultEnd::error) + counts.unexpected, 0u);
  EXPECT_EQ(loop_->summary().counts.served(), 50u);
  EXPECT_EQ(loop_->summary().latency.count, 50u);
  EXPECT_GT(loop_->summary().latency.p50_ns, 0u);
}

TEST_F(Loop, ServesFaultsInSystemCallsOfAFullDescriptor) {
  if (::geteuid() != 0) GTEST_SKIP() << "a full userfaultfd needs root";
  start();
  auto one = client(
      [](Line& line, Fd&) {
        int ends[2];
        const bool made = ::pipe(ends) == 0 && ::write(ends[1], "hello", 5) == 5;
        line.send(made ? ::read(ends[0], reinterpret_cast<void*>(kArena), 5) : -1);
      },
      Mode::full);
  adopt(*one, fill_);
  EXPECT_EQ(one->child.line().receive<ssize_t>(), 5);
  EXPECT_EQ(get_byte(memory_, 1), 'e');
}

TEST_F(Loop, ARefusedFaultIsASigsegvAtTheExactAddress) {
  start();
  auto one =
      client([](Line& line, Fd&) { line.send(touch_caught(page_address(9) + 0x321, true, 3)); });
  adopt(*one, refuse_);
  const auto report = one->child.line().receive<SegvReport>();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->signal, SIGSEGV);
  EXPECT_EQ(report->code, -5);
  EXPECT_EQ(report->address, page_address(9) + 0x321);
  EXPECT_EQ(report->calls, 4) << "a handler that returns is asked again";
  const FaultCounts counts = finish(*one);
  EXPECT_EQ(counts.of(FaultEnd::signalled), 4u);
  EXPECT_EQ(counts.of(FaultEnd::deferred), 3u) << "whether it means it";
  EXPECT_EQ(counts.refused(), 7u);
  EXPECT_EQ(counts.served() + counts.of(FaultEnd::poisoned) + counts.of(FaultEnd::error), 0u);
}

TEST_F(Loop, WhoDoesNotTakeSigsegvEndsWithoutSpinning) {
  start();
  for (void (*prepare)() : {ignore_segv, block_segv}) {
    auto one = client([prepare](Line&, Fd&) {
      prepare();
      store(kArena, 1);
    });
    adopt(*one, refuse_);
    EXPECT_EQ(describe(one->child.wait()), "killed by SIGBUS");
    const FaultCounts counts = finish(*one);
    EXPECT_EQ(counts.refused(), 1u);
    EXPECT_EQ(counts.of(FaultEnd::poisoned), 1u);
  }
}

TEST_F(Loop, AClientOfAnotherPidNamespace) {
  if (::geteuid() != 0) GTEST_SKIP() << "CLONE_NEWPID needs root";
  auto one = client(
      [](Line& line, Fd&) {
        std::thread([&line] { line.send(touch_caught(kArena + 5, false)); }).join();
      },
      Mode::user_only, CLONE_NEWPID);
  start();
  adopt(*one, refuse_);
  const auto report = one->child.line().receive<SegvReport>();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->signal, SIGSEGV);
  EXPECT_EQ(report->address, kArena + 5);
}

TEST_F(Loop, KilledWhileItWaitsForAnAnswer) {
  start(1);
  auto gate = std::make_shared<GateResolver>(*fill_);
  auto victim = client([](Line&, Fd&) { store(kArena, 1); });
  adopt(*victim, gate);
  ASSERT_TRUE(gate->wait_inside(1));
  victim->child.kill(SIGKILL);
  EXPECT_EQ(describe(victim->child.wait()), "killed by SIGKILL");
  gate->open();
  auto other = client([](Line&, Fd&) { touch_pages(1, 20); });
  adopt(*other, fill_);
  EXPECT_EQ(describe(other->child.wait()), "exited 0");
  EXPECT_EQ(finish(*victim).of(FaultEnd::error), 0u);
  EXPECT_EQ(finish(*other).served(), 20u);
}

TEST_F(Loop, KilledBeforeTheRefusal) {
  start(1);
  auto gate = std::make_shared<GateResolver>(*refuse_);
  auto victim = client([](Line&, Fd&) { store(kArena, 1); });
  adopt(*victim, gate);
  ASSERT_TRUE(gate->wait_inside(1));
  victim->child.kill(SIGKILL);
  EXPECT_EQ(describe(victim->child.wait()), "killed by SIGKILL");
  gate->open();
  ASSERT_TRUE(eventually([&] { return victim->counters->read().refused() > 0; }));
  const FaultCounts counts = finish(*victim);
  EXPECT_EQ(counts.of(FaultEnd::discarded), 1u);
  EXPECT_EQ(
      counts.of(FaultEnd::signalled) + counts.of(FaultEnd::poisoned) + counts.of(FaultEnd::error),
      0u);
}

// poll() says EPOLLERR for such a descriptor forever, and a plain read would wait.
TEST_F(Loop, AClientThatClearsNonblockOnlyGetsItsFaultsAnswered) {
  start(1);
  auto hostile = client([](Line&, Fd& own) {
    if (::fcntl(own.get(), F_SETFL, 0) != 0) ::_exit(kBroken);
    touch_pages(0, 100);
  });
  adopt(*hostile, fill_);
  EXPECT_EQ(describe(hostile->child.wait()), "exited 0");
  auto other = client([](Line&, Fd&) { touch_pages(100, 100); });
  adopt(*other, fill_);
  EXPECT_EQ(describe(other->child.wait()), "exited 0");
  EXPECT_EQ(finish(*hostile).served(), 100u);
  EXPECT_EQ(finish(*other).served(), 100u);
  EXPECT_LE(loop_->turns(), 410u) << "the thread spins";
}

TEST_F(Loop, TwoClientsThatWaitForOnePageBothGoOn) {
  start(2);
  auto gate = std::make_shared<GateResolver>(*fill_);
  const Body body = [](Line& line, Fd&) { line.send(load(page_address(3))); };
  auto one = client(body);
  auto two = client(body);
  adopt(*one, gate);
  adopt(*two, gate);
  ASSERT_TRUE(gate->wait_inside(2)) << "two clients are on two threads";
  gate->open();
  EXPECT_TRUE(one->child.line().receive<uint8_t>());
  EXPECT_TRUE(two->child.line().receive<uint8_t>());
  EXPECT_EQ(pages_in(memory_), 1u);
}

// Handed from thread to thread while four threads fault; nothing is lost, and between drop and
// adopt the resolver is not called.
TEST_F(Loop, DropWhileFaultsComeIn) {
  class Guarded : public FillingResolver {
   public:
    using FillingResolver::FillingResolver;
    Verdict resolve(const Fault& fault) noexcept override {
      if (dropped) ++calls_after_drop;
      return FillingResolver::resolve(fault);
    }
    std::atomic<bool> dropped{false};
    std::atomic<int> calls_after_drop{0};
  };
  auto guarded = std::make_shared<Guarded>(memory_);
  auto one = client([](Line& line, Fd&) {
    std::thread threads[4];
    for (uint64_t t = 0; t < 4; ++t) threads[t] = std::thread(touch_pages, t * 64, uint64_t{64});
    for (auto& thread : threads) thread.join();
    line.go();
  });
  start(2);
  adopt(*one, guarded);
  for (int i = 0; i < 10; ++i) {
    auto uffd = loop_->drop(one->id);
    guarded->dropped = true;
    ASSERT_TRUE(uffd);
    EXPECT_FALSE(loop_->drop(one->id)) << "only once";
    // What was read and not answered is raised again.
    EXPECT_EQ(uffd->wake(kArena, kArenaBytes), 0);
    guarded->dropped = false;
    auto id =
        loop_->adopt(std::move(*uffd), one->child.peer(), guarded, FaultAudience{one->counters});
    ASSERT_TRUE(id);
    one->id = *id;
  }
  EXPECT_TRUE(one->child.line().wait_go());
  EXPECT_EQ(describe(one->child.wait()), "exited 0");
  EXPECT_EQ(guarded->calls_after_drop, 0);
  EXPECT_EQ(pages_in(memory_), 256u);
  EXPECT_EQ(loop_->clients(), 1u);
}

TEST_F(Loop, DropWaitsForTheTurnUnderWay) {
  start(1);
  auto gate = std::make_shared<GateResolver>(*fill_);
  auto one = client([](Line&, Fd&) { store(kArena, 1); });
  adopt(*one, gate);
  ASSERT_TRUE(gate->wait_inside(1));
  EXPECT_EQ(loop_->summary().pending, 1u) << "whoever looks does not wait for it";
  std::atomic<bool> returned{false};
  std::thread dropper([&] {
    EXPECT_TRUE(loop_->drop(one->id));
    returned = true;
  });
  // The loop has forgotten the client once the dropper is inside drop().
  EXPECT_TRUE(eventually([&] { return loop_->clients() == 0; }));
  EXPECT_FALSE(returned);
  gate->open();
  dropper.join();
  EXPECT_EQ(one->counters->read().served(), 1u);
  EXPECT_EQ(describe(one->child.wait()), "exited 0");
}

// 16 threads that fault again as fast as they are told off, on the only fault thread.
// It has a thread of its own, which may wait for it: the threads that others share go on.
TEST_F(Loop, AClientWithAWindowKeepsNobodyWaiting) {
  start(1);
  auto slow = client([](Line&, Fd&) { touch_pages(1, 1); });
  auto other = client([](Line&, Fd&) { touch_pages(2, 1); });
  auto gate = std::make_shared<GateResolver>(*fill_);
  adopt(*slow, gate, AroundWindow::kAuto);
  ASSERT_TRUE(gate->wait_inside(1));
  EXPECT_EQ(loop_->clients(), 1u);
  EXPECT_EQ(loop_->threads(), 1u);
  adopt(*other, fill_);
  EXPECT_EQ(describe(other->child.wait()), "exited 0");
  gate->open();
  EXPECT_EQ(describe(slow->child.wait()), "exited 0");
  EXPECT_TRUE(loop_->drop(slow->id));
  EXPECT_FALSE(loop_->drop(slow->id));
  EXPECT_TRUE(loop_->drop(other->id));
  EXPECT_EQ(loop_->clients(), 0u);
}

TEST_F(Loop, AFloodDelaysOthersOnlyForAWhile) {
  auto flood = client([](Line& line, Fd&) {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    ::sigaction(SIGSEGV, &action, nullptr);
    for (uint64_t i = 0; i < 16; ++i) std::thread([i] { load(page_address(200 + i)); }).detach();
    line.wait_go();
    ::_exit(0);
  });
  start(1);
  adopt(*flood, refuse_);
  ASSERT_TRUE(eventually([&] { return flood->counters->read().of(FaultEnd::signalled) >= 100; }));
  auto other = client([](Line&, Fd&) { touch_pages(0, 50); });
  adopt(*other, fill_);
  EXPECT_EQ(describe(other->child.wait()), "exited 0");
  EXPECT_EQ(finish(*other).served(), 50u);
  EXPECT_FALSE(flood->child.line().readable(0)) << "still at it";
  EXPECT_EQ(flood->counters->read().of(FaultEnd::poisoned), 0u);
  flood->child.line().go();
  EXPECT_EQ(describe(flood->child.wait()), "exited 0");
}

// A client can register more of its memory with the descriptor that it shares with us.
TEST_F(Loop, FaultsOutsideTheArenaAreRefusedWithoutAskingAnyone) {
  start();
  auto one = client([](Line& line, Fd& own) {
    void* more =
        ::mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register request{};
    request.range = {reinterpret_cast<uint64_t>(more), kPageSize};
    request.mode = UFFDIO_REGISTER_MODE_MISSING;
    if (::ioctl(own.get(), UFFDIO_REGISTER, &request) != 0) ::_exit(kBroken);
    line.send(touch_caught(request.range.start, true));
  });
  adopt(*one, fill_);
  const auto report = one->child.line().receive<SegvReport>();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->signal, SIGSEGV);
  EXPECT_EQ(fill_->calls, 0u);
}

TEST_F(Loop, ManyClientsComeAndGo) {
  start(2);
  for (int round = 0; round < 20; ++round) {
    auto one = client([round](Line&, Fd&) { touch_pages(static_cast<uint64_t>(round) * 4, 4); });
    adopt(*one, fill_);
    EXPECT_EQ(describe(one->child.wait()), "exited 0");
    EXPECT_EQ(finish(*one).served(), 4u);
  }
  EXPECT_EQ(loop_->clients(), 0u);
  EXPECT_EQ(loop_->summary().counts.served(), 80u);
}

TEST_F(Loop, EndsWithClientsThatWait) {
  auto gate = std::make_shared<GateResolver>(*fill_);
  start(1);
  auto one = client([](Line&, Fd& own) {
    own.reset();  // the loop's descriptor is the last one: its end ends the fault
    store(kArena, 1);
  });
  adopt(*one, gate);
  ASSERT_TRUE(gate->wait_inside(1));
  gate->open();
  loop_.reset();
  EXPECT_EQ(describe(one->child.wait()), "exited 0");
}

TEST(FaultLoop, UnknownIdsAndDefaults) {
  auto loop = FaultLoop::create();
  ASSERT_TRUE(loop);
  EXPECT_GE((*loop)->threads(), 1u);
  EXPECT_FALSE((*loop)->drop(0));
  EXPECT_FALSE((*loop)->drop(12345));
  EXPECT_EQ((*loop)->clients(), 0u);
}

}  // namespace
}  // namespace uarena::uffd
