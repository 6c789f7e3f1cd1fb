// Turns of one descriptor: bounded in time, honest about what is left, and an end when it breaks.
#include "uffd/fault_session.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <thread>
#include <vector>

#include "ipc/base/memory_map.h"
#include "tests/uffd/client.h"

namespace uarena::uffd {
namespace {

using testing::kLimitMs;
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
    return Verdict::present;
  }
  int calls = 0;
  std::chrono::microseconds delay{0};

 private:
  int memory_;
  uint64_t base_;
};

class Session : public ::testing::Test {
 protected:
  void open(uint64_t features = 0) {
    memory_ = Fd(::memfd_create("uffd-test", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(memory_.get(), kBytes), 0);
    map_ = std::move(MemoryMap::create(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                                       memory_.get(), 0, "test memory")
                         .value());
    auto made = Userfaultfd::create_own(features);
    ASSERT_TRUE(made) << made.error().message;
    ASSERT_TRUE(made->register_missing(map_.address(), kBytes));
    resolver_ = std::make_shared<SlowResolver>(memory_.get(), map_.address());
    session_.emplace(std::move(*made), Peer{.pid = ::getpid()}, resolver_, counters_, totals_);
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

  Fd memory_;
  MemoryMap map_;
  std::shared_ptr<SlowResolver> resolver_;
  std::shared_ptr<FaultCounters> counters_ = std::make_shared<FaultCounters>();
  FaultTotals totals_;
  std::optional<FaultSession> session_;
  std::vector<std::thread> touchers_;
};

TEST_F(Session, AnswersAndCounts) {
  open();
  EXPECT_EQ(session_->turn(), Turn::idle);
  touch(1);
  EXPECT_EQ(session_->turn(), Turn::idle);
  EXPECT_EQ(counters_->read().served, 1u);
  EXPECT_EQ(totals_.counters.read().served, 1u);
  EXPECT_EQ(totals_.latency.summary().count, 1u);
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
  EXPECT_EQ(counters_->read().served, kPages);
  EXPECT_GE(totals_.latency.summary().max_ns, 2000000u);
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
  EXPECT_EQ(counters_->read().served, 1u);
}

TEST_F(Session, ADescriptorThatCannotBeReadIsBroken) {
  open();
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd read_end(ends[0]);
  const Fd write_end(ends[1]);
  ASSERT_EQ(::dup3(write_end.get(), session_->fd(), O_CLOEXEC), session_->fd());
  EXPECT_EQ(session_->turn(), Turn::broken);
  EXPECT_EQ(counters_->read().errors, 1u);
}

}  // namespace
}  // namespace uarena::uffd
