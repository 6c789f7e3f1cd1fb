#include "uffd/fault_worker.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>

#include "ipc/base/log.h"

namespace uarena::uffd {
namespace {

constexpr uint64_t kStopId = 0;
constexpr int kEventsPerWait = 64;

thread_local bool on_fault_thread = false;

// A new thread inherits its creator's mask: ours has everything blocked but synchronous signals,
// so that signals for the process go to the threads that expect them.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT})
      ::sigdelset(&all, signal);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

Result<void> watch(int epoll, int fd, uint32_t events, uint64_t id) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    return fail_errno(errno, "cannot wait for faults of a descriptor");
  return {};
}

}  // namespace

Result<std::unique_ptr<FaultWorker>> FaultWorker::create(const std::string& name) {
  std::unique_ptr<FaultWorker> worker(new FaultWorker);
  worker->epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  worker->stop_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!worker->epoll_ || !worker->stop_)
    return fail_errno(errno, "cannot make a fault thread's descriptors");
  auto watched = watch(worker->epoll_.get(), worker->stop_.get(), EPOLLIN, kStopId);
  if (!watched) return std::unexpected(watched.error());
  const SignalsBlocked blocked;
  try {
    worker->thread_ = std::thread([self = worker.get()] { self->run(); });
  } catch (const std::system_error& error) {
    return fail_errno(error.code().value(), "cannot start a fault thread");
  }
  ::pthread_setname_np(worker->thread_.native_handle(), name.c_str());
  return worker;
}

FaultWorker::~FaultWorker() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  const ssize_t written = ::write(stop_.get(), &one, sizeof one);
  UARENA_ASSERT(written == sizeof one, "eventfd: errno {}", errno);
  thread_.join();
}

Result<void> FaultWorker::add(uint64_t id, std::unique_ptr<FaultSession> session) {
  const int fd = session->fd();
  const std::lock_guard lock(mutex_);
  // Known before it is watched: its first fault can come at once.
  sessions_.emplace(id, std::move(session));
  auto watched = watch(epoll_.get(), fd, EPOLLIN | EPOLLET, id);
  if (!watched) sessions_.erase(id);
  return watched;
}

std::unique_ptr<FaultSession> FaultWorker::remove(uint64_t id) {
  UARENA_ASSERT(!on_fault_thread, "client {} dropped on a fault thread", id);
  std::unique_lock lock(mutex_);
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return nullptr;
  auto session = std::move(found->second);
  sessions_.erase(found);
  forget(*session);
  turn_over_.wait(lock, [&] { return current_ != id; });
  return session;
}

// Others hold the same open file, so closing our descriptor would not take it out of the epoll.
void FaultWorker::forget(FaultSession& session) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, session.fd(), nullptr);
}

size_t FaultWorker::clients() const {
  const std::lock_guard lock(mutex_);
  return sessions_.size();
}

void FaultWorker::run() {
  on_fault_thread = true;
  std::vector<uint64_t> ready;  // who gets a turn in this round, each once
  std::vector<uint64_t> again;  // who wants one in the next
  while (wait(ready, again.empty())) {
    ready.insert(ready.end(), again.begin(), again.end());
    std::ranges::sort(ready);
    const auto repeated = std::ranges::unique(ready);
    ready.erase(repeated.begin(), repeated.end());
    again.clear();
    for (const uint64_t id : ready)
      if (give_turn(id)) again.push_back(id);
    ready.clear();
  }
}

bool FaultWorker::wait(std::vector<uint64_t>& ready, bool block) {
  std::array<epoll_event, kEventsPerWait> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsPerWait, block ? -1 : 0);
  for (int i = 0; i < count; ++i) {
    const uint64_t id = events[static_cast<size_t>(i)].data.u64;
    if (id == kStopId) return false;
    ready.push_back(id);
  }
  return true;
}

bool FaultWorker::give_turn(uint64_t id) {
  FaultSession* session = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return false;  // dropped meanwhile
    session = found->second.get();
    current_ = id;
  }
  turns_.fetch_add(1, std::memory_order_relaxed);
  const Turn turn = session->turn();
  const std::lock_guard lock(mutex_);
  if (turn == Turn::broken && sessions_.contains(id)) forget(*session);
  current_ = 0;
  turn_over_.notify_all();
  return turn == Turn::more;
}

}  // namespace uarena::uffd
