// run() is the whole life: start a broker, serve it until it is dead, hear out what it had said,
// and decide whether there is to be another one.
#include "broker/keeper.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "broker/descriptor_limit.h"
#include "broker/inherited.h"
#include "broker/keeper_child.h"
#include "broker/kept_fds.h"
#include "broker/notify_message.h"
#include "broker/notify_socket.h"
#include "ipc/base/log.h"
#include "ipc/close_untrusted.h"

namespace uarena::broker {
namespace {

constexpr int kMostFailures = 5;  // brokers in a row that died before they were ready
constexpr size_t kOwnFds = 320;   // more than the keeper needs, with one datagram full of them
constexpr size_t kMostKept = 65536;
constexpr int kDatagramsPerWakeup = 64;

std::string describe(int status) {
  return WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                             : fmt::format("exit status {}", WEXITSTATUS(status));
}

int exit_code_of(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string join_names(const std::vector<NamedFd>& fds) {
  std::string names;
  for (const NamedFd& named : fds) names += named.name + ':';
  return names;
}

class Keeper {
 public:
  static Result<Keeper> create(std::span<char*> arguments);
  Result<int> run();

 private:
  Keeper(NotifySocket notify, std::vector<NamedFd> passed_on, size_t most_kept)
      : notify_(std::move(notify)),
        passed_on_(std::move(passed_on)),
        most_kept_(most_kept),
        kept_(most_kept, kMaxNamesOfStore) {}
  Result<void> block_signals();
  Result<void> start();
  void wait_a_moment();
  void serve();
  void take_signal();
  bool hear_one();
  void store(const NotifyMessage& message, std::vector<Fd> fds);
  void pass_on(const NotifyMessage& message);
  int reap();

  std::vector<std::string> arguments_;
  NotifySocket notify_;
  std::vector<NamedFd> passed_on_;  // what we inherited ourselves, for every broker
  size_t most_kept_;
  KeptFds kept_;
  sigset_t signals_before_{};
  Fd signals_;
  KeeperChild child_;
  bool ready_ = false;  // the child has said so
  bool told_to_stop_ = false;
};

Result<Keeper> Keeper::create(std::span<char*> arguments) {
  ::signal(SIGPIPE, SIG_IGN);
  auto inherited = Inherited::from_environment();
  if (!inherited) return std::unexpected(inherited.error());
  auto passed_on = inherited->leftovers();
  if (join_names(passed_on).size() > kMaxNamesBeside)
    return fail(E2BIG, "the names of the inherited descriptors have more than {} bytes",
                kMaxNamesBeside);
  const size_t limit = raise_descriptor_limit();
  const size_t own = kOwnFds + passed_on.size();
  if (limit <= own) return fail(EMFILE, "a limit of {} descriptors is too low", limit);
  auto notify = NotifySocket::create();
  if (!notify) return std::unexpected(notify.error());
  Keeper keeper(std::move(*notify), std::move(passed_on), std::min(limit - own, kMostKept));
  for (const std::string_view argument : arguments)
    if (argument != "--keeper" && !argument.starts_with("--keeper="))
      keeper.arguments_.emplace_back(argument);
  if (auto blocked = keeper.block_signals(); !blocked) return std::unexpected(blocked.error());
  return keeper;
}

Result<void> Keeper::block_signals() {
  sigset_t stop;
  ::sigemptyset(&stop);
  ::sigaddset(&stop, SIGTERM);
  ::sigaddset(&stop, SIGINT);
  ::sigaddset(&stop, SIGHUP);
  ::sigprocmask(SIG_BLOCK, &stop, &signals_before_);
  signals_.reset(::signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return fail_errno(errno, "cannot wait for signals");
  return {};
}

Result<int> Keeper::run() {
  for (int failures = 0;;) {
    if (auto started = start(); !started) {
      if (++failures == kMostFailures || told_to_stop_) return std::unexpected(started.error());
      log(LogLevel::error, "keeper.not_started",
          {{"errno", started.error().code}, {"error", started.error().message}});
      wait_a_moment();
      continue;
    }
    serve();
    const int status = reap();
    if (told_to_stop_ || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
      return exit_code_of(status);
    failures = ready_ ? 0 : failures + 1;
    if (failures == kMostFailures)
      return fail(ECHILD,
                  "the broker died {} times in a row before it was ready, the last time by {}",
                  failures, describe(status));
    log(LogLevel::error, "keeper.broker_died",
        {{"pid", child_.pid}, {"by", describe(status)}, {"kept", kept_.size()}});
    pass_on({.status = "the broker died by " + describe(status) + " and is started anew"});
  }
}

Result<void> Keeper::start() {
  ChildPlan plan{.arguments = arguments_,
                 .notify_address = notify_.address_fd(),
                 .store_max = most_kept_,
                 .signals = signals_before_};
  plan.fd_names = join_names(passed_on_);
  for (const NamedFd& named : passed_on_) plan.fds.push_back(named.fd.get());
  kept_.for_each([&plan](const std::string& name, int fd) {
    plan.fd_names += name + ':';
    plan.fds.push_back(fd);
  });
  if (!plan.fd_names.empty()) plan.fd_names.pop_back();
  auto child = start_child(plan);
  if (!child) return std::unexpected(child.error());
  child_ = std::move(*child);
  ready_ = false;
  log(LogLevel::info, "keeper.broker_started", {{"pid", child_.pid}, {"kept", kept_.size()}});
  return {};
}

// For memory or processes to become free again; a signal ends it.
void Keeper::wait_a_moment() {
  pollfd event{signals_.get(), POLLIN, 0};
  if (::poll(&event, 1, 1000) == 1) told_to_stop_ = true;
}

// Returns when the child is dead and all that it had sent is heard.
void Keeper::serve() {
  enum { dead, signal, notification };
  for (;;) {
    std::array<pollfd, 3> events{
        {{child_.pidfd.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}, {notify_.fd(), POLLIN, 0}}};
    if (::poll(events.data(), events.size(), -1) < 0) continue;  // EINTR
    if (events[signal].revents != 0) take_signal();
    if (events[dead].revents != 0) break;
    for (int i = 0; events[notification].revents != 0 && i < kDatagramsPerWakeup; ++i)
      if (!hear_one()) break;
  }
  while (hear_one()) {
  }
}

void Keeper::take_signal() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) != sizeof info) return;
  if (info.ssi_signo != SIGHUP) told_to_stop_ = true;  // else the child reads its configuration
  ::syscall(SYS_pidfd_send_signal, child_.pidfd.get(), static_cast<int>(info.ssi_signo), nullptr,
            0);
}

// False: there is nothing more.
bool Keeper::hear_one() {
  auto datagram = notify_.receive();
  if (!datagram) return false;
  auto message = parse_notify_untrusted(datagram->text);
  if (datagram->sender != child_.pid || !message) {
    log(LogLevel::warning, "keeper.notification_refused",
        {{"pid", datagram->sender},
         {"reason", message ? "the sender is not the broker" : message.error().message}});
    ipc::close_untrusted(std::move(datagram->fds));
    return true;
  }
  ready_ |= message->ready;
  store(*message, std::move(datagram->fds));
  pass_on(*message);
  return true;
}

void Keeper::store(const NotifyMessage& message, std::vector<Fd> fds) {
  if (message.store == NotifyMessage::Store::remove)
    ipc::close_untrusted(kept_.remove(message.name));
  if (message.store == NotifyMessage::Store::put)
    if (auto put = kept_.put(message.name, fds); !put)
      log(LogLevel::error, "keeper.not_kept",
          {{"name", message.name}, {"errno", put.error().code}, {"error", put.error().message}});
  ipc::close_untrusted(std::move(fds));
}

// If the keeper is a service itself, its manager hears from it what the broker is doing; the
// manager sees one process, the keeper, and is told nothing of descriptors.
void Keeper::pass_on(const NotifyMessage& message) {
  std::string state;
  if (message.reloading)
    state += fmt::format("RELOADING=1\nMONOTONIC_USEC={}\n", *message.reloading);
  if (message.ready) state += "READY=1\n";
  if (message.stopping) state += "STOPPING=1\n";
  if (message.watchdog) state += "WATCHDOG=1\n";
  if (message.status) state += "STATUS=" + *message.status + "\n";
  if (!state.empty()) ::sd_notify(/*unset_environment=*/0, state.c_str());
}

int Keeper::reap() {
  int status = 0;
  while (::waitpid(child_.pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

int run_keeper(std::span<char*> arguments) {
  auto keeper = Keeper::create(arguments);
  auto code = keeper ? keeper->run() : std::unexpected(keeper.error());
  if (code) return *code;
  std::fprintf(stderr, "uarenad: keeper: %s\n", code.error().message.c_str());
  return EXIT_FAILURE;
}

}  // namespace uarena::broker
