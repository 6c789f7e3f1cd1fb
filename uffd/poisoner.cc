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

void poison_now(Userfaultfd& uffd, uint64_t page) {
  const int error = uffd.poison(page, kPageSize).error;
  switch (outcome_of(Attempt::poison, error)) {
    case Outcome::installed:
    case Outcome::discarded:
      return;
    case Outcome::present:   // poisoned or made by somebody meanwhile; that wakes nobody
    case Outcome::deferred:  // not now: who waits looks again, and is refused again
      uffd.wake(page, kPageSize);
      return;
    case Outcome::error:
      log(LogLevel::warning, "fault.not_poisoned",
          {{"address", fmt::format("{:#x}", page)}, {"error", strerrordesc_np(error)}});
  }
}

}  // namespace

struct Poisoner::Line {
  explicit Line(Userfaultfd own) : uffd(std::move(own)) {}

  void work() {
    std::unique_lock guard(lock);
    while (!pages.empty()) {
      const uint64_t page = pages.extract(pages.begin()).value();
      guard.unlock();
      poison_now(uffd, page);
      guard.lock();
    }
    working = false;
  }

  Userfaultfd uffd;
  std::mutex lock;
  std::set<uint64_t> pages;
  bool working = false;  // there is a thread
};

Poisoner::Answer Poisoner::poison(const Userfaultfd& uffd, uint64_t page) {
  if (!line_) {
    Userfaultfd own = uffd.dup();
    if (!own) return Answer::failed;
    line_ = std::make_shared<Line>(std::move(own));
  }
  {
    const std::lock_guard guard(line_->lock);
    if (line_->pages.size() >= kMostWaiting) return Answer::full;
    line_->pages.insert(page);
    if (std::exchange(line_->working, true)) return Answer::taken;
  }
  if (call_slowly([line = line_] { line->work(); })) return Answer::taken;
  const std::lock_guard guard(line_->lock);
  line_->working = false;
  line_->pages.erase(page);
  return Answer::failed;
}

}  // namespace uarena::uffd
