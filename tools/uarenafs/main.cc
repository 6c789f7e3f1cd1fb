// uarenafs: reads its command line, mounts or takes over a mount, and serves until it is told to
// stop or somebody unmounts it.
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>

#include <cstdio>
#include <cstdlib>

#include "ipc/base/journal.h"
#include "tools/uarenafs/inherited.h"
#include "tools/uarenafs/options.h"
#include "tools/uarenafs/session.h"

namespace uarena::inspectfs {
namespace {

// Signals that stop, as a descriptor; blocked before there is a second thread.
Result<Fd> stop_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&set, signal);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  Fd fd(::signalfd(-1, &set, SFD_CLOEXEC));
  if (!fd) return fail_errno(errno, "cannot make a signalfd");
  return fd;
}

Result<std::unique_ptr<Session>> open_session(const Options& options, Fd fuse, FileSystem& files) {
  if (fuse) return Session::adopt(files, std::move(fuse));
  const std::string path = options.mountpoint.empty() ? default_mountpoint() : options.mountpoint;
  if (path.empty()) usage_error("MOUNTPOINT is missing, and there is no $XDG_RUNTIME_DIR for one");
  auto point = MountPoint::prepare(path, options.mountpoint.empty());
  if (!point) return std::unexpected(point.error());
  return Session::mount(files, std::move(*point), options.allow_other);
}

void serve(Session& session, const Fd& signals) {
  session.start();
  ::sd_notify(0, "READY=1");
  pollfd waits[] = {{signals.get(), POLLIN, 0}, {session.ended_fd(), POLLIN, 0}};
  while (::poll(waits, 2, -1) < 0 && errno == EINTR) {
  }
  ::sd_notify(0, "STOPPING=1");
  signalfd_siginfo got{};
  if (waits[0].revents != 0 && ::read(signals.get(), &got, sizeof got) == sizeof got)
    log(LogLevel::info, "fs.stopping", {{"signal", got.ssi_signo}});
  else
    log(LogLevel::info, "fs.unmounted");
  session.stop();
}

// Of a mount that was passed to us, whoever mounted it knows where it is and for whom.
void log_ready(const Session& session, const Options& options) {
  const std::string socket = options.socket.empty() ? ipc::default_socket_path() : options.socket;
  const LogField from{"socket", socket}, pid{"pid", ::getpid()}, uid{"uid", ::geteuid()};
  if (session.mountpoint().empty())
    return log(LogLevel::info, "fs.ready", {{"mount", "inherited"}, from, pid, uid});
  log(LogLevel::info, "fs.ready",
      {{"mountpoint", session.mountpoint()}, from, pid, uid, {"allow_other", options.allow_other}});
}

Result<void> run(const Options& options) {
  auto signals = stop_signals();
  if (!signals) return std::unexpected(signals.error());
  auto fuse = take_inherited_fuse_untrusted();
  if (!fuse) return std::unexpected(fuse.error());
  BrokerPool broker(options.socket);
  Tree tree(broker);
  FileSystem files(tree);
  auto session = open_session(options, std::move(*fuse), files);
  if (!session) return std::unexpected(session.error());
  log_ready(**session, options);
  serve(**session, *signals);
  return {};
}

}  // namespace
}  // namespace uarena::inspectfs

int main(int argc, char** argv) {
  using namespace uarena;
  const inspectfs::Options options = inspectfs::parse_options(argc, argv);
  set_log_level(options.log_level);
  log_to_journal("uarenafs");
  if (auto done = inspectfs::run(options); !done) {
    std::fprintf(stderr, "uarenafs: %s\n", escaped(done.error().message).c_str());
    return EXIT_FAILURE;
  }
  log(LogLevel::info, "fs.stopped");
  return EXIT_SUCCESS;
}
