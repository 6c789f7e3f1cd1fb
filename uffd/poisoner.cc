#include "uffd/poisoner.h"

#include <cerrno>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>

#include "ipc/base/log.h"
#include "ipc/base/page.h"
#include "ipc/base/slow_calls.h"
#include "uffd/outcome.h"

namespace uarena::uffd {
namespace {

// 0, or the errno for which it could not be done now.
int poison_now(Userfaultfd& uffd, uint64_t page) {
  const int error = uffd.poison(page, kPageSize).error;
  switch (outcome_of(Attempt::poison, error)) {
    case Outcome::installed:
    case Outcome::discarded:
      return 0;
    case Outcome::present:   // poisoned or made by somebody meanwhile; that wakes nobody
    case Outcome::deferred:  // not now: who waits looks again, and is refused again
      uffd.wake(page, kPageSize);
      return 0;
    case Outcome::error:  // a thread that nobody wakes would wait for ever: it asks again, too
      break;
  }
  uffd.wake(page, kPageSize);
  return error;
}

}  // namespace

struct Poisoner::Line {
  explicit Line(Userfaultfd own) : uffd(std::move(own)) {}

  void work() {
    std::unique_lock guard(lock);
    while (!pages.empty()) {
      const uint64_t page = pages.extract(pages.begin()).value();
      guard.unlock();
      const int error = poison_now(uffd, page);
      guard.lock();
      // Once: who asks again may do so all the time.
      if (error != 0 && !std::exchange(told, true))
        log(LogLevel::warning, "fault.not_poisoned",
            {{"address", fmt::format("{:#x}", page)}, {"error", strerrordesc_np(error)}});
    }
    working = false;
  }

  Userfaultfd uffd;
  std::mutex lock;
  std::set<uint64_t> pages;
  bool working = false;  // there is a thread
  bool told = false;     // that it failed
};

Poisoner::Answer Poisoner::poison(const Userfaultfd& uffd, uint64_t page) {
  if (!line_) {
    Userfaultfd own = uffd.dup();
    if (!own) return Answer::not_now;
    line_ = std::make_shared<Line>(std::move(own));
  }
  {
    const std::lock_guard guard(line_->lock);
    if (line_->pages.size() >= kMostWaiting) return Answer::not_now;
    line_->pages.insert(page);
    if (std::exchange(line_->working, true)) return Answer::taken;
  }
  if (call_slowly([line = line_] { line->work(); })) return Answer::taken;
  const std::lock_guard guard(line_->lock);
  line_->working = false;
  line_->pages.erase(page);
  return Answer::not_now;
}

}  // namespace uarena::uffd
