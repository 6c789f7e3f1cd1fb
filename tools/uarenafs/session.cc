#include "tools/uarenafs/session.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "ipc/base/log.h"

namespace uarena::inspectfs {
namespace {

// The kernel sends INIT as part of the mount, so it is there.
constexpr int kInitLimitMs = 1000;

// What libfuse has to say becomes our log, and the last of it the reason of a failure.
thread_local std::string last_words;

__attribute__((format(printf, 2, 0))) void take_words(fuse_log_level, const char* format,
                                                      va_list arguments) {
  char text[512];
  std::vsnprintf(text, sizeof text, format, arguments);
  last_words = text;
  while (!last_words.empty() && last_words.back() == '\n') last_words.pop_back();
  log(LogLevel::debug, "libfuse", {{"text", last_words}});
}

Result<Fd> event() {
  Fd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return fail_errno(errno, "cannot make an eventfd");
  return fd;
}

void signal(const Fd& event) { ::eventfd_write(event.get(), 1); }

}  // namespace

Result<void> Session::create(bool allow_other) {
  ::fuse_set_log_func(take_words);
  auto stop = event(), ended = event();
  if (!stop || !ended) return std::unexpected(stop ? ended.error() : stop.error());
  stop_ = std::move(*stop);
  ended_ = std::move(*ended);

  std::string options = "ro,nosuid,nodev,noexec,default_permissions,fsname=uarena,subtype=uarenafs";
  if (allow_other) options += ",allow_other";
  std::string name = "uarenafs", flag = "-o";
  char* words[] = {name.data(), flag.data(), options.data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(3, words);
  session_ = ::fuse_session_new(&arguments, &fuse_operations(), sizeof(fuse_lowlevel_ops), &files_);
  ::fuse_opt_free_args(&arguments);
  if (session_ == nullptr) return fail(EINVAL, "cannot make a FUSE session: {}", last_words);
  return {};
}

Result<void> Session::connect(const std::string& where) {
  if (::fuse_session_mount(session_, where.c_str()) != 0)
    return fail(EPERM, "cannot mount on {}: {}", where,
                last_words.empty() ? "see the line above" : last_words);
  const int fd = ::fuse_session_fd(session_);
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
    return fail_errno(errno, "cannot make /dev/fuse non-blocking");
  return answer_init();
}

Result<void> Session::answer_init() {
  pollfd ready{::fuse_session_fd(session_), POLLIN, 0};
  fuse_buf request{};
  int size = -EAGAIN;
  if (::poll(&ready, 1, kInitLimitMs) > 0) size = ::fuse_session_receive_buf(session_, &request);
  const bool is_init = size >= static_cast<int>(sizeof(fuse_in_header)) &&
                       static_cast<const fuse_in_header*>(request.mem)->opcode == FUSE_INIT;
  if (size > 0) ::fuse_session_process_buf(session_, &request);  // anything else is refused by it
  std::free(request.mem);
  if (!is_init)
    return fail(EBUSY, "the FUSE connection was in use before: it has to be mounted anew");
  return {};
}

Result<std::unique_ptr<Session>> Session::mount(FileSystem& files, MountPoint point,
                                                bool allow_other) {
  std::unique_ptr<Session> session(new Session(files));
  session->point_ = std::move(point);
  if (auto ok = session->create(allow_other); !ok) return std::unexpected(ok.error());
  if (auto ok = session->connect(session->point_.path()); !ok) return std::unexpected(ok.error());
  return session;
}

// libfuse takes /dev/fd/N for "mounted, and here is the descriptor"; it closes it in the end.
Result<std::unique_ptr<Session>> Session::adopt(FileSystem& files, Fd fuse) {
  std::unique_ptr<Session> session(new Session(files));
  if (auto ok = session->create(false); !ok) return std::unexpected(ok.error());
  auto ok = session->connect(fmt::format("/dev/fd/{}", fuse.get()));
  if (::fuse_session_fd(session->session_) == fuse.get()) (void)fuse.release();
  if (!ok) return std::unexpected(ok.error());
  return session;
}

void Session::start() {
  for (unsigned i = 0; i < kThreads; ++i) threads_.emplace_back([this] { work(); });
}

// An epoll of each thread's own: with EPOLLEXCLUSIVE a request wakes one of those that wait.
void Session::work() {
  const Fd poll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event requests{EPOLLIN | EPOLLEXCLUSIVE, {}}, stopping{EPOLLIN, {}};
  fuse_buf request{};
  if (::epoll_ctl(poll.get(), EPOLL_CTL_ADD, ::fuse_session_fd(session_), &requests) == 0 &&
      ::epoll_ctl(poll.get(), EPOLL_CTL_ADD, stop_.get(), &stopping) == 0) {
    while (next_request(poll, request)) ::fuse_session_process_buf(session_, &request);
  } else {
    log(LogLevel::error, "fs.no_requests", {{"errno", errno}});
  }
  std::free(request.mem);
  signal(ended_);
}

// False: stopped, or unmounted. Each thread finds that out for itself.
bool Session::next_request(const Fd& poll, fuse_buf& request) {
  while (!stopping_ && ::fuse_session_exited(session_) == 0) {
    const int size = ::fuse_session_receive_buf(session_, &request);
    if (size > 0) return true;
    if (size == -EAGAIN) {
      epoll_event ready{};
      ::epoll_wait(poll.get(), &ready, 1, -1);
    } else if (size < 0 && size != -EINTR) {
      log(LogLevel::error, "fs.no_requests", {{"errno", -size}});
      return false;
    }
  }
  return false;
}

void Session::stop() {
  stopping_ = true;
  signal(stop_);
  threads_.clear();
}

Session::~Session() {
  if (session_ == nullptr) return;
  stop();
  ::fuse_session_unmount(session_);
  ::fuse_session_destroy(session_);
}

}  // namespace uarena::inspectfs
