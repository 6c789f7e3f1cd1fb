// A client whose SEGV_ON_FAULT is the kernel's own: guards lie over its whole range, so that
// touching an absent page is a SIGSEGV without anybody being asked. Three things keep them in step
// with the arena's pages:
//   attach   the client installs its guards; all pages that are allocated by then are mapped over
//   them alloc    the pages are mapped over their guards before the allocation returns free
//   punching leaves the page table empty: no guard, the next touch asks the broker, who
//            refuses it by a signal (uffd/segv.h). A thread of the client's library puts guards
//            there again a little later.
//
// Installing a guard takes away a page that lies there, so a guard must not come after the page's
// next allocation. Only the order in which this client's line works ensures that: it asks the
// client for guards and waits for its answer before it maps what was allocated meanwhile, and the
// allocation waits for that. Guards that were not asked for yet are forgotten when their pages are
// allocated; they are asked for only after a pause, so that pages which come and go cost none.
//
// Mapping needs the client's memory lock, and guarding needs its thread; a client can keep either.
// So each has a line with a thread of its own, and an allocation waits for it for a moment only.
// Then the client lags: nobody waits for it any more until it has caught up, and the moment is
// shorter from then on. It is its own loss: some pages that were allocated meanwhile lie under
// guards until then.
//
// Threads: any.
#pragma once

#include <atomic>
#include <boost/icl/interval_set.hpp>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "broker/arena.h"
#include "broker/page_watcher.h"
#include "ipc/base/fd.h"
#include "ipc/base/result.h"
#include "uffd/userfaultfd.h"

namespace uarena::broker {

class ExactClient final : public PageWatcher, public std::enable_shared_from_this<ExactClient> {
 public:
  // Many times of what a good client needs, on a machine that is busy. After each time that a
  // client has lagged it is a tenth, so all that a bad one can ever take from others is little
  // more.
  static constexpr std::chrono::milliseconds kPatience{1000};
  // Pages that are allocated again within this time cost no guards.
  static constexpr std::chrono::milliseconds kPause{2};
  // Beyond it single pages are not worth the memory: a signal answers there.
  static constexpr size_t kMostGuards = 65536;
  // Allocations of a client that lags; beyond it all pages are looked at again.
  static constexpr size_t kMostMaps = 4096;

  // `uffd` is a copy of the client's; `helper` our end of the socket on which its thread waits.
  // `resumed`: a predecessor has worked with it. Starts the line; EAGAIN: no thread.
  static Result<std::shared_ptr<ExactClient>> start(std::weak_ptr<const Arena> arena, pid_t pid,
                                                    uffd::Userfaultfd uffd, Fd helper,
                                                    bool resumed);
  // Nothing is done any more, soon.
  void end();

  // All pages that are allocated lie over their guards when it returns. Waits for the client.
  void map_all();

  void freed(PageRange pages) override;
  uint64_t allocated(PageRange pages) override;
  void wait(uint64_t ticket) override;

  // The helper thread's end of the socket is there, or on its way to the client.
  bool helper_exists() const;

  // Pages that were guarded again, and allocations that did not wait for their pages.
  uint64_t guarded() const { return guarded_.load(std::memory_order_relaxed); }
  uint64_t late() const { return late_.load(std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;
  using Pages = boost::icl::interval_set<uint32_t>;
  using Interval = Pages::interval_type;
  using Lock = std::unique_lock<std::mutex>;

  ExactClient(std::weak_ptr<const Arena> arena, uint64_t start, pid_t pid, uffd::Userfaultfd uffd,
              Fd helper);
  void run();
  void map_next(Lock& lock);
  void guard_next(Lock& lock);
  void map(PageRange pages);
  bool ask_helper(PageRange pages);
  bool wait_for_answer(uint64_t seq);

  const std::weak_ptr<const Arena> arena_;
  const uint64_t start_;
  const pid_t pid_;
  uffd::Userfaultfd uffd_;
  const Fd helper_;
  uint64_t seq_;  // the line's own
  std::atomic<bool> ended_{false};
  std::atomic<uint64_t> guarded_{0};
  std::atomic<uint64_t> late_{0};

  std::mutex lock_;  // guards everything below
  std::condition_variable changed_;
  std::vector<PageRange> maps_;
  Pages guards_;
  Clock::time_point guards_due_{};
  uint64_t issued_ = 0;   // the last ticket
  uint64_t done_ = 0;     // all up to it
  bool sync_ = false;     // the helper may be busy for a predecessor
  bool map_all_ = false;  // more was allocated than maps_ has room for
  bool lags_ = false;
  std::chrono::milliseconds patience_ = kPatience;
  bool helper_gone_ = false;
};

// An exact client in its arena, from attach to the end.
class ExactHold {
 public:
  ExactHold(std::shared_ptr<Arena> arena, std::shared_ptr<ExactClient> client);
  ExactHold(ExactHold&&) = default;
  ExactHold& operator=(ExactHold&& other) noexcept {
    std::swap(arena_, other.arena_);
    std::swap(client_, other.client_);
    return *this;
  }
  ~ExactHold();
  const ExactClient& client() const { return *client_; }

 private:
  std::shared_ptr<Arena> arena_;
  std::shared_ptr<ExactClient> client_;  // null after a move
};

}  // namespace uarena::broker
