#include "broker/runner_pool.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <vector>

#include "broker/near_caller.h"
#include "ipc/base/log.h"
#include "ipc/close_untrusted.h"

namespace uarena::broker {
namespace {

constexpr int kIdleMs = 10'000;  // an extra runner with nothing to do ends after this
// How long a runner stays with its channel: a few times what waking a client and its next request
// take. The kernel rounds it up to one of its ticks.
constexpr timeval kStay{0, 200};
constexpr uint64_t kStopMark = ~uint64_t{0};

}  // namespace

Result<std::unique_ptr<RunnerPool>> RunnerPool::create(Size size, Handler handler) {
  UARENA_ASSERT(size.threads <= size.limit && size.share > 0, "{} of {} runners, {} for a uid",
                size.threads, size.limit, size.share);
  std::unique_ptr<RunnerPool> pool(new RunnerPool(size, std::move(handler)));
  pool->epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  pool->stop_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!pool->epoll_ || !pool->stop_) return fail_errno(errno, "cannot make the runners' epoll set");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kStopMark;
  if (::epoll_ctl(pool->epoll_.get(), EPOLL_CTL_ADD, pool->stop_.get(), &event) != 0)
    return fail_errno(errno, "cannot watch the runners' stop event");
  for (unsigned i = 0; i < size.threads; ++i) pool->start_thread();
  return pool;
}

RunnerPool::~RunnerPool() {
  stop(std::chrono::milliseconds(0));
  std::unique_lock guard(lock_);
  ended_.wait(guard, [this] { return running_ == 0; });
  for (auto& [socket, channel] : channels_) ipc::close_connection(std::move(channel.socket));
}

bool RunnerPool::stop(std::chrono::milliseconds limit) {
  stopping_ = true;
  const uint64_t one = 1;
  // The stop event stays readable, so that every runner sees it, also one that is busy now.
  [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof(one));
  std::unique_lock guard(lock_);
  for (auto& [socket, channel] : channels_) channel.client->gone = true;
  return ended_.wait_for(guard, limit, [this] { return running_ == 0; });
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

Result<void> RunnerPool::adopt(RunChannel channel) {
  const int raw = channel.socket.get();
  if (::setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &kStay, sizeof kStay) != 0)
    return fail_errno(errno, "cannot limit how long a run channel is read");
  std::lock_guard guard(lock_);
  const uint32_t uid = channel.client->who.uid;
  channel.client->channels.fetch_add(1);
  ++shares_[uid].channels;
  UARENA_ASSERT(!channels_.contains(raw), "run channel {}", raw);
  channels_.emplace(raw, std::move(channel));
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT;
  event.data.u64 = static_cast<uint64_t>(raw);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, raw, &event) != 0) {
    const int code = errno;
    const RunChannel refused = remove(raw);
    if (shares_.at(uid).channels == 0) shares_.erase(uid);
    return fail_errno(code, "cannot watch the run channel");
  }
  return {};
}

void RunnerPool::drop_client(uint64_t client_id) {
  std::vector<RunChannel> ended;
  {
    std::lock_guard guard(lock_);
    for (auto& [uid, share] : shares_) {
      std::erase_if(share.waiting, [&](int socket) {
        if (channels_.at(socket).client->client_id != client_id) return false;
        ended.push_back(remove(socket));
        return true;
      });
    }
    std::erase_if(shares_, [](const auto& entry) { return entry.second.channels == 0; });
    for (auto& [socket, channel] : channels_) {
      if (channel.client->client_id != client_id) continue;
      channel.client->gone = true;
      // The runner that holds or next wakes for this channel reads its end, and closes it.
      ::shutdown(socket, SHUT_RDWR);
    }
  }
  for (RunChannel& channel : ended) ipc::close_connection(std::move(channel.socket));
}

size_t RunnerPool::channels() const {
  std::lock_guard guard(lock_);
  return channels_.size();
}

// Takes the channel out of the books; the caller, who holds lock_, closes it when it no longer
// does, and removes the share when that was the last one.
RunChannel RunnerPool::remove(int socket) {
  const auto found = channels_.find(socket);
  UARENA_ASSERT(found != channels_.end(), "run channel {}", socket);
  RunChannel ended = std::move(found->second);
  ended.client->channels.fetch_sub(1);
  --shares_.at(ended.client->who.uid).channels;
  channels_.erase(found);
  return ended;
}

// The channel whose request is to be carried out now; none when its uid has its share of the
// runners already: it waits until one of them is done.
RunChannel* RunnerPool::begin(int socket) {
  std::lock_guard guard(lock_);
  RunChannel& channel = channels_.at(socket);
  Share& share = shares_.at(channel.client->who.uid);
  if (share.busy == size_.share) {
    share.waiting.push_back(socket);
    return nullptr;
  }
  ++share.busy;
  return &channel;
}

// A request has been carried out. The runner goes on with the channel of the same uid that waits
// longest, if there is one.
std::optional<int> RunnerPool::end(int socket, uint32_t uid, bool goes_on) {
  RunChannel ended;
  std::optional<int> next;
  {
    std::lock_guard guard(lock_);
    Share& share = shares_.at(uid);
    --share.busy;
    if (!share.waiting.empty() && !stopping_) {
      next = share.waiting.front();
      share.waiting.pop_front();
    }
    if (!goes_on) ended = remove(socket);
    if (share.channels == 0) shares_.erase(uid);
  }
  ipc::close_connection(std::move(ended.socket));  // by that it leaves the epoll set
  return next;
}

// Another runner may have it at once, and end it.
void RunnerPool::watch_again(int socket) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT;
  event.data.u64 = static_cast<uint64_t>(socket);
  UARENA_ASSERT(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, socket, &event) == 0, "errno {}", errno);
}

// With lock_ held, so that the destructor, which waits under it, can't be faster than this.
void RunnerPool::leave() {
  idle_.fetch_sub(1);
  running_.fetch_sub(1);
  ended_.notify_all();
}

// Requests of one channel, as long as one follows the other. Whose turn it is then: a channel that
// had to wait for this uid's share.
std::optional<int> RunnerPool::serve(int socket, NearCaller& near) {
  for (auto record = ipc::peek_record(socket, ipc::Wait::no);;) {
    RunChannel* const channel = begin(socket);
    if (channel == nullptr) return std::nullopt;
    const uint32_t uid = channel->client->who.uid;
    const bool goes_on = handler_(*channel, std::move(record));
    const int cpu = channel->cpu;
    const std::optional<int> next = end(socket, uid, goes_on);
    if (!goes_on) return next;
    // Others go on meanwhile: it stays only while there are more runners.
    if (!next && idle_.load(std::memory_order_relaxed) > 0) {
      near.wait_near_untrusted(cpu);
      record = ipc::peek_record(socket, ipc::Wait::yes);
      near.done();
      if (record || record.error().code != EAGAIN) continue;
    }
    watch_again(socket);
    return next;
  }
}

void RunnerPool::work() {
  ::pthread_setname_np(::pthread_self(), "runner");
  // What tells the daemon to stop is the control thread's; faults in programs are ours.
  sigset_t stopping;
  ::sigemptyset(&stopping);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) ::sigaddset(&stopping, signal);
  ::pthread_sigmask(SIG_BLOCK, &stopping, nullptr);
  NearCaller near;
  for (;;) {
    epoll_event event{};
    const int ready = ::epoll_wait(epoll_.get(), &event, 1, kIdleMs);
    if (stopping_) break;
    if (ready < 0 && errno == EINTR) continue;
    UARENA_ASSERT(ready >= 0, "epoll_wait: errno {}", errno);
    if (ready == 0) {
      std::lock_guard guard(lock_);
      if (running_ <= size_.threads) continue;
      leave();
      return;
    }
    if (idle_.fetch_sub(1) == 1 && running_.load() < size_.limit) start_thread();
    for (std::optional<int> socket = static_cast<int>(event.data.u64); socket && !stopping_;)
      socket = serve(*socket, near);
    idle_.fetch_add(1);
  }
  std::lock_guard guard(lock_);
  leave();
}

}  // namespace uarena::broker
