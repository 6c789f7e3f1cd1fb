#include "broker/exact_client.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "ipc/abi.h"
#include "ipc/base/clock.h"
#include "ipc/base/log.h"
#include "ipc/base/slow_calls.h"

namespace uarena::broker {
namespace {

// How often a line that waits for its client looks whether it is still wanted.
constexpr int kLookMs = 100;

}  // namespace

ExactClient::ExactClient(std::weak_ptr<const Arena> arena, uint64_t start, pid_t pid,
                         uffd::Userfaultfd uffd, Fd helper)
    : arena_(std::move(arena)),
      start_(start),
      pid_(pid),
      uffd_(std::move(uffd)),
      helper_(std::move(helper)),
      seq_(realtime_ns()) {}  // never a predecessor's

Result<std::shared_ptr<ExactClient>> ExactClient::start(std::weak_ptr<const Arena> arena, pid_t pid,
                                                        uffd::Userfaultfd uffd, Fd helper,
                                                        bool resumed) {
  const uint64_t start = arena.lock()->user_vm_start();
  std::shared_ptr<ExactClient> client(
      new ExactClient(std::move(arena), start, pid, std::move(uffd), std::move(helper)));
  client->sync_ = client->map_all_ = resumed;
  if (!call_slowly([client] { client->run(); }))
    return fail(EAGAIN, "no thread could be started for the attachment");
  return client;
}

void ExactClient::end() {
  const Lock lock(lock_);
  ended_ = true;
  changed_.notify_all();
}

void ExactClient::freed(PageRange pages) {
  const Lock lock(lock_);
  if (helper_gone_ || guards_.iterative_size() >= kMostGuards) return;
  guards_.add(Interval::right_open(pages.first, static_cast<uint32_t>(pages.end())));
  guards_due_ = Clock::now() + kPause;
  changed_.notify_all();
}

uint64_t ExactClient::allocated(PageRange pages) {
  const Lock lock(lock_);
  guards_.subtract(Interval::right_open(pages.first, static_cast<uint32_t>(pages.end())));
  if (maps_.size() == kMostMaps) {
    maps_.clear();
    map_all_ = true;
  }
  if (!map_all_) maps_.push_back(pages);
  changed_.notify_all();
  return ++issued_;
}

void ExactClient::wait(uint64_t ticket) {
  Lock lock(lock_);
  const auto done = [&] { return done_ >= ticket || ended_; };
  if (done() || (!lags_ && changed_.wait_for(lock, patience_, done))) return;
  late_.fetch_add(1, std::memory_order_relaxed);
  if (std::exchange(lags_, true)) return;
  patience_ /= 10;
  log(LogLevel::warning, "client.lags", {{"pid", pid_}});
}

// Maps first: an allocation waits for them.
void ExactClient::run() {
  ::pthread_setname_np(::pthread_self(), fmt::format("exact/{}", pid_).c_str());
  Lock lock(lock_);
  while (!ended_) {
    if (sync_ || map_all_ || !maps_.empty()) {
      map_next(lock);
    } else if (std::exchange(lags_, false)) {
      log(LogLevel::info, "client.caught_up", {{"pid", pid_}});
    } else if (guards_.empty()) {
      changed_.wait(lock);
    } else if (Clock::now() < guards_due_) {
      changed_.wait_until(lock, guards_due_);
    } else {
      guard_next(lock);
    }
  }
}

void ExactClient::map_next(Lock& lock) {
  const bool sync = std::exchange(sync_, false), all = std::exchange(map_all_, false);
  const std::vector<PageRange> maps = std::exchange(maps_, {});
  const uint64_t ticket = issued_;
  lock.unlock();
  // What the predecessor had asked for is done before this is.
  const bool gone = sync && !ask_helper({0, 0});
  if (all) map_all();
  for (const PageRange& pages : maps) map(pages);
  lock.lock();
  helper_gone_ |= gone;
  done_ = ticket;
  changed_.notify_all();
}

void ExactClient::guard_next(Lock& lock) {
  const Interval first = *guards_.begin();
  guards_.subtract(first);
  const PageRange pages = {first.lower(), first.upper() - first.lower()};
  lock.unlock();
  const bool answered = ask_helper(pages);
  lock.lock();
  if (answered) return;
  helper_gone_ = true;  // from now on a signal answers where pages were freed
  guards_.clear();
}

bool ExactClient::helper_exists() const {
  pollfd end{helper_.get(), 0, 0};
  return ::poll(&end, 1, 0) == 0;  // POLLHUP is told unasked
}

void ExactClient::map_all() {
  const auto arena = arena_.lock();
  if (!arena) return;
  for (const PageExtent& extent : arena->extents())
    if (extent.origin != Origin::reserved) map(extent.pages);
}

// A page that is mapped already is passed over, and one that was freed meanwhile: mapping makes
// none. Where the client has no such mapping any more, nothing can be done for it.
void ExactClient::map(PageRange pages) {
  uint64_t address = start_ + pages.first * kPageSize;
  uint64_t length = pages.count * kPageSize;
  while (length > 0 && !ended_) {
    const uffd::RangeResult mapped = uffd_.map_present(address, length);
    if (mapped.error != 0 && mapped.error != EEXIST && mapped.error != EFAULT) return;
    const uint64_t passed = mapped.done + (mapped.error == 0 ? 0 : kPageSize);
    address += passed;
    length -= passed;
  }
}

// False: it is not there any more.
bool ExactClient::ask_helper(PageRange pages) {
  uarena_guard guard{};
  guard.addr = start_ + pages.first * kPageSize;
  guard.length = pages.count * kPageSize;
  guard.seq = ++seq_;
  // Its socket is empty but for what it has not answered: one.
  if (::send(helper_.get(), &guard, sizeof guard, MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof guard)
    return false;
  return wait_for_answer(guard.seq);
}

// Answers to a predecessor's request may come before ours: one. Who sends more than that does not
// keep to the rules.
bool ExactClient::wait_for_answer(uint64_t seq) {
  for (int others = 0; !ended_ && others <= 1;) {
    pollfd waits{helper_.get(), POLLIN, 0};
    if (::poll(&waits, 1, kLookMs) <= 0) continue;
    uarena_guard answer_untrusted{};
    const ssize_t n =
        ::recv(helper_.get(), &answer_untrusted, sizeof answer_untrusted, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n != sizeof answer_untrusted) return false;
    if (answer_untrusted.seq != seq) {
      ++others;
      continue;
    }
    if (answer_untrusted.error == 0)
      guarded_.fetch_add(answer_untrusted.length / kPageSize, std::memory_order_relaxed);
    return true;
  }
  return false;
}

ExactHold::ExactHold(std::shared_ptr<Arena> arena, std::shared_ptr<ExactClient> client)
    : arena_(std::move(arena)), client_(std::move(client)) {
  arena_->add_watcher(client_);
}

ExactHold::~ExactHold() {
  if (!client_) return;
  arena_->remove_watcher(client_.get());
  client_->end();
}

}  // namespace uarena::broker
