#include "broker/runner_pool.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <vector>

#include "ipc/base/log.h"
#include "ipc/close_untrusted.h"

namespace uarena::broker {
namespace {

constexpr int kIdleMs = 10'000;  // an extra runner with nothing to do ends after this
constexpr uint64_t kStopMark = ~uint64_t{0};

}  // namespace

RunnerPool::RunnerPool(unsigned threads, unsigned limit, Handler handler)
    : handler_(std::move(handler)), wanted_(threads), limit_(limit) {}

Result<std::unique_ptr<RunnerPool>> RunnerPool::create(unsigned threads, unsigned limit,
                                                       Handler handler) {
  std::unique_ptr<RunnerPool> pool(new RunnerPool(threads, limit, std::move(handler)));
  pool->epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  pool->stop_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!pool->epoll_ || !pool->stop_) return fail_errno(errno, "cannot make the runners' epoll set");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kStopMark;
  if (::epoll_ctl(pool->epoll_.get(), EPOLL_CTL_ADD, pool->stop_.get(), &event) != 0)
    return fail_errno(errno, "cannot watch the runners' stop event");
  for (unsigned i = 0; i < threads; ++i) pool->start_thread();
  return pool;
}

RunnerPool::~RunnerPool() {
  stopping_ = true;
  {
    std::lock_guard guard(lock_);
    for (auto& [socket, channel] : channels_) channel.client->gone = true;
  }
  const uint64_t one = 1;
  // The stop event stays readable, so that every runner sees it, also one that is busy now.
  [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof(one));
  std::unique_lock guard(lock_);
  ended_.wait(guard, [this] { return running_ == 0; });
}

void RunnerPool::start_thread() {
  running_.fetch_add(1);
  idle_.fetch_add(1);
  try {
    std::thread([this] { work(); }).detach();
  } catch (const std::system_error& error) {
    // Too many threads: those that run go on; requests wait for them.
    running_.fetch_sub(1);
    idle_.fetch_sub(1);
    log(LogLevel::warning, "runner.not_started", {{"error", error.what()}});
  }
}

Result<void> RunnerPool::adopt(Fd socket, std::shared_ptr<RunClient> client) {
  const int raw = socket.get();
  std::lock_guard guard(lock_);
  client->channels.fetch_add(1);
  channels_.insert_or_assign(raw, Channel{std::move(socket), std::move(client)});
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT;
  event.data.u64 = static_cast<uint64_t>(raw);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, raw, &event) != 0) {
    const int code = errno;
    channels_.at(raw).client->channels.fetch_sub(1);
    channels_.erase(raw);
    return fail_errno(code, "cannot watch the run channel");
  }
  return {};
}

void RunnerPool::drop_client(uint64_t client_id) {
  std::lock_guard guard(lock_);
  for (auto& [socket, channel] : channels_) {
    if (channel.client->client_id != client_id) continue;
    channel.client->gone = true;
    // The runner that holds or next wakes for this channel reads its end, and closes it.
    ::shutdown(socket, SHUT_RDWR);
  }
}

size_t RunnerPool::channels() const {
  std::lock_guard guard(lock_);
  return channels_.size();
}

void RunnerPool::finish(int socket) {
  Fd ended;
  {
    std::lock_guard guard(lock_);
    const auto found = channels_.find(socket);
    UARENA_ASSERT(found != channels_.end(), "run channel {}", socket);
    found->second.client->channels.fetch_sub(1);
    ended = std::move(found->second.socket);
    channels_.erase(found);
  }
  ipc::close_connection(std::move(ended));  // by that it leaves the epoll set
}

// With lock_ held, so that the destructor, which waits under it, can't be faster than this.
void RunnerPool::leave() {
  idle_.fetch_sub(1);
  running_.fetch_sub(1);
  ended_.notify_all();
}

void RunnerPool::work() {
  ::pthread_setname_np(::pthread_self(), "runner");
  // What tells the daemon to stop is the control thread's; faults in programs are ours.
  sigset_t stopping;
  ::sigemptyset(&stopping);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) ::sigaddset(&stopping, signal);
  ::pthread_sigmask(SIG_BLOCK, &stopping, nullptr);
  for (;;) {
    epoll_event event{};
    const int ready = ::epoll_wait(epoll_.get(), &event, 1, kIdleMs);
    if (stopping_) break;
    if (ready < 0 && errno == EINTR) continue;
    UARENA_ASSERT(ready >= 0, "epoll_wait: errno {}", errno);
    if (ready == 0) {
      std::lock_guard guard(lock_);
      if (running_ <= wanted_) continue;
      leave();
      return;
    }
    if (idle_.fetch_sub(1) == 1 && running_.load() < limit_) start_thread();
    const int socket = static_cast<int>(event.data.u64);
    std::shared_ptr<RunClient> client;
    {
      std::lock_guard guard(lock_);
      client = channels_.at(socket).client;
    }
    if (handler_(socket, *client)) {
      event.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT;
      event.data.u64 = static_cast<uint64_t>(socket);
      UARENA_ASSERT(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, socket, &event) == 0, "errno {}",
                    errno);
    } else {
      finish(socket);
    }
    idle_.fetch_add(1);
  }
  std::lock_guard guard(lock_);
  leave();
}

}  // namespace uarena::broker
