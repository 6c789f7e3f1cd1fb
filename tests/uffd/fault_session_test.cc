// Turns of one descriptor: bounded in time, honest about what is left, and an end when it breaks.
#include "uffd/fault_session.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "ipc/base/clock.h"
#include "ipc/base/memory_map.h"
#include "tests/uffd/client.h"

namespace uarena::uffd {
namespace {

using testing::kLimitMs;
using testing::load;
using testing::store;

constexpr uint64_t kPages = 8;
constexpr uint64_t kBytes = kPages * kPageSize;
constexpr uint64_t kFeatureEventRemove = 1 << 3;

// Fills the page of a mapping of this process, after `delay`.
class SlowResolver : public Resolver {
 public:
  SlowResolver(int memory, uint64_t base) : memory_(memory), base_(base) {}
  Verdict resolve(const Fault& fault) noexcept override {
    ++calls;
    const auto until = std::chrono::steady_clock::now() + delay;
    while (std::chrono::steady_clock::now() < until) {
    }
    const char byte = 0;
    if (::pwrite(memory_, &byte, 1, static_cast<off_t>(fault.address - base_)) != 1) std::abort();
    return verdict;
  }
  uint32_t make_around(uint64_t address, uint32_t pages, const Make& make) noexcept override {
    asked = {address, pages};
    return make(address, pages);
  }
  int calls = 0;
  std::chrono::microseconds delay{0};
  std::pair<uint64_t, uint32_t> asked{};
  Verdict verdict = Verdict::present;

 private:
  int memory_;
  uint64_t base_;
};

class Session : public ::testing::Test {
 protected:
  void open(uint64_t features = 0, uint32_t around = 1) {
    map_ = testing::map_shared(memory_, kBytes);
    auto made = Userfaultfd::create_own(features);
    ASSERT_TRUE(made) << made.error().message;
    ASSERT_TRUE(made->register_missing(map_.address(), kBytes));
    resolver_ = std::make_shared<SlowResolver>(memory_.get(), map_.address());
    Peer self{::getpid(), Fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))),
              ::getuid()};
    session_.emplace(std::move(*made), std::move(self), resolver_,
                     FaultAudience{counters_, {total_}, trace_, 7}, around);
  }
  // Threads of this process that touch one page each; all of them wait when it returns.
  void touch(uint64_t pages) {
    for (uint64_t i = 0; i < pages; ++i)
      touchers_.emplace_back([at = map_.address() + i * kPageSize] { store(at, 1); });
    pollfd wait{session_->fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&wait, 1, kLimitMs), 1);
  }
  void TearDown() override {
    for (auto& toucher : touchers_) toucher.join();
  }

  Fd memory_ = testing::make_memory(kBytes);
  MemoryMap map_;
  std::shared_ptr<SlowResolver> resolver_;
  std::shared_ptr<FaultCounters> counters_ = std::make_shared<FaultCounters>();
  std::shared_ptr<FaultTally> total_ = std::make_shared<FaultTally>();
  std::shared_ptr<FaultTrace> trace_ =
      std::make_shared<FaultTrace>(std::move(FaultTrace::create(8).value()));
  std::optional<FaultSession> session_;
  std::vector<std::thread> touchers_;
};

TEST_F(Session, AnswersAndCounts) {
  open();
  EXPECT_EQ(session_->turn(), Turn::idle);
  touch(1);
  EXPECT_EQ(session_->turn(), Turn::idle);
  EXPECT_EQ(counters_->read().served(), 1u);
  EXPECT_EQ(total_->counts().served(), 1u);
  EXPECT_EQ(total_->summary().latency.count, 1u);
  session_.reset();
  EXPECT_EQ(total_->summary().latency.count, 1u) << "what it has counted stays in the sum";
}

// One fault, and the pages behind it are there and mapped: touching them is no fault.
TEST_F(Session, BringsPagesAround) {
  open(0, 5);
  resolver_->verdict = Verdict::installed;
  touch(1);
  EXPECT_EQ(session_->turn(), Turn::idle);
  EXPECT_EQ(resolver_->asked, (std::pair{map_.address() + kPageSize, 4U}));
  for (uint64_t page = 1; page < 5; ++page) store(map_.address() + page * kPageSize, 1);
  EXPECT_EQ(session_->turn(), Turn::idle);
  EXPECT_EQ(counters_->read().all(), 1u);
  EXPECT_EQ(counters_->read().around, 4u);
  EXPECT_EQ(total_->counts().around, 4u);
}

// A page that is in the file is passed over.
TEST_F(Session, MakesWhatCanBeMade) {
  open(0, kPages);
  resolver_->verdict = Verdict::installed;
  ASSERT_EQ(::pwrite(memory_.get(), "x", 1, 3 * kPageSize), 1);
  touch(1);
  EXPECT_EQ(session_->turn(), Turn::idle);
  EXPECT_EQ(counters_->read().around, kPages - 1);
  EXPECT_EQ(testing::pages_in(memory_), kPages);
  EXPECT_EQ(load(map_.address() + 3 * kPageSize), 'x');
}

TEST_F(Session, NothingAroundAPageThatWasThere) {
  open(0, 5);
  touch(1);
  EXPECT_EQ(session_->turn(), Turn::idle);
  EXPECT_EQ(resolver_->asked, (std::pair<uint64_t, uint32_t>{}));
}

TEST_F(Session, EveryFaultIsTraced) {
  open(kFeatureThreadId | kFeatureExactAddress);
  const uint64_t before = realtime_ns();
  std::atomic<uint32_t> tid{0};
  touchers_.emplace_back([this, &tid] {
    tid = static_cast<uint32_t>(::gettid());
    load(map_.address() + kPageSize + 17);
  });
  pollfd wait{session_->fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&wait, 1, kLimitMs), 1);
  EXPECT_EQ(session_->turn(), Turn::idle);
  touch(1);
  EXPECT_EQ(session_->turn(), Turn::idle);
  const auto part = trace_->read(0, 10);
  ASSERT_EQ(part.faults.size(), 2u);
  const TracedFault& read = part.faults[0];
  EXPECT_EQ(read.client, 7u);
  EXPECT_EQ(read.address, map_.address() + kPageSize + 17) << "the byte, not the page";
  EXPECT_FALSE(read.write);
  EXPECT_TRUE(read.thread_is_ours);
  EXPECT_EQ(read.thread, tid);
  EXPECT_EQ(read.end, FaultEnd::present);
  EXPECT_GE(read.time_ns, before);
  EXPECT_LE(read.time_ns, realtime_ns());
  EXPECT_GT(read.latency_ns, 0u);
  EXPECT_TRUE(part.faults[1].write);
}

TEST_F(Session, ASlowAnswerEndsTheTurnAndLosesNothing) {
  open();
  resolver_->delay = 2 * FaultSession::kTurnBudget;
  touch(kPages);
  int turns = 0;
  while (resolver_->calls < static_cast<int>(kPages)) {
    const int before = resolver_->calls;
    session_->turn();
    EXPECT_LE(resolver_->calls, before + 1) << "one answer uses the whole turn";
    ++turns;
    ASSERT_LT(turns, 10000000);
  }
  EXPECT_EQ(session_->turn(), Turn::idle);
  EXPECT_EQ(counters_->read().served(), kPages);
  EXPECT_EQ(total_->summary().pending, 0u);
  EXPECT_GE(total_->summary().latency.max_ns, 2000000u);
}

TEST_F(Session, UnexpectedMessagesAreCountedAndFaultsGoOn) {
  open(kFeatureEventRemove);
  std::thread remover([this] { ::madvise(map_.data(), kPageSize, MADV_DONTNEED); });
  pollfd wait{session_->fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, kLimitMs), 1);
  EXPECT_EQ(session_->turn(), Turn::idle);
  remover.join();
  EXPECT_EQ(counters_->read().unexpected, 1u);
  touch(1);
  EXPECT_EQ(session_->turn(), Turn::idle);
  EXPECT_EQ(counters_->read().served(), 1u);
}

TEST_F(Session, ADescriptorThatCannotBeReadIsBroken) {
  open();
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd read_end(ends[0]);
  const Fd write_end(ends[1]);
  ASSERT_EQ(::dup3(write_end.get(), session_->fd(), O_CLOEXEC), session_->fd());
  EXPECT_EQ(session_->turn(), Turn::broken);
  EXPECT_EQ(counters_->read().unexpected, 1u);
}

}  // namespace
}  // namespace uarena::uffd
