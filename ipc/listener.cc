// Accepting, and what happens when it is not possible.
#include "ipc/listener.h"

#include <sys/socket.h>

#include <optional>

#include "ipc/base/log.h"

namespace uarena::ipc {
namespace {

// After this long without a free descriptor, accepting is tried again.
constexpr std::chrono::milliseconds kPause{100};

Fd open_reserve() { return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

}  // namespace

struct Listener::Impl {
  EventLoop& loop;
  BoundSocket bound;
  std::shared_ptr<const Handler> handler;  // shared, as it must live until it returns
  EventLoop::Watch watch;
  EventLoop::Timer pause;
  Fd reserve = open_reserve();
  uint64_t turned_away = 0;
  bool* gone = nullptr;  // set while accepting: the handler may destroy the listener

  Impl(EventLoop& l, BoundSocket b, Handler h)
      : loop(l), bound(std::move(b)), handler(std::make_shared<const Handler>(std::move(h))) {}
  ~Impl() {
    if (gone != nullptr) *gone = true;
  }

  static Result<std::unique_ptr<Listener>> start(EventLoop& loop, BoundSocket bound,
                                                 Handler handler);
  Result<void> resume();
  void accept_some();
  bool accept_one();
  int turn_away();
  void pause_accepting();
};

Result<std::unique_ptr<Listener>> Listener::Impl::start(EventLoop& loop, BoundSocket bound,
                                                        Handler handler) {
  auto impl = std::make_unique<Impl>(loop, std::move(bound), std::move(handler));
  if (auto ok = impl->resume(); !ok) return std::unexpected(std::move(ok.error()));
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

Result<void> Listener::Impl::resume() {
  auto started =
      loop.watch(bound.socket.get(), EventLoop::Readiness::read, [this] { accept_some(); });
  if (!started) return std::unexpected(std::move(started.error()));
  watch = std::move(*started);
  return {};
}

void Listener::Impl::accept_some() {
  bool destroyed = false;
  gone = &destroyed;
  for (int i = 0; i < kAcceptsPerWakeup; ++i) {
    const bool more = accept_one();
    if (destroyed) return;
    if (!more) break;
  }
  gone = nullptr;
}

// False: nothing more to accept now.
bool Listener::Impl::accept_one() {
  Fd socket(::accept4(bound.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket) {
    int error = errno;
    if (error == EMFILE || error == ENFILE) error = turn_away();
    if (error == 0 || error == EINTR || error == ECONNABORTED) return true;
    if (error == EAGAIN) return false;
    log(LogLevel::error, "listener.accept_failed", {{"error", strerrordesc_np(error)}});
    pause_accepting();
    return false;
  }
  auto peer = peer_credentials(socket.get());
  if (peer) {
    const auto held = handler;
    (*held)(std::move(socket), std::move(*peer));
  } else {
    log(LogLevel::debug, "listener.peer_refused", {{"reason", peer.error().message}});
  }
  return true;
}

// The client that waits in front gets the reserve's place for a moment, so that it sees its
// connection closed; without that it would wait, and we would be woken for it for ever. 0 if that
// was possible, else accept's errno: EAGAIN when nobody waits (the kernel looks for a free
// descriptor first), EMFILE when another thread took the place.
int Listener::Impl::turn_away() {
  reserve.reset();
  Fd client(::accept4(bound.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const int error = client ? 0 : errno;
  client.reset();
  reserve = open_reserve();
  if (error == 0) {
    ++turned_away;
    log(LogLevel::warning, "listener.turned_away", {{"reason", "no descriptor is free"}});
  }
  return error;
}

void Listener::Impl::pause_accepting() {
  watch.reset();
  pause = loop.call_after(kPause, [this] {
    if (!reserve) reserve = open_reserve();
    if (!resume()) pause_accepting();
  });
}

Listener::Listener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listener::~Listener() = default;

Result<std::unique_ptr<Listener>> Listener::bind(EventLoop& loop, const std::string& path,
                                                 mode_t mode, Handler handler) {
  auto bound = bind_socket_file(path, mode, kBacklog);
  if (!bound) return std::unexpected(std::move(bound.error()));
  return Impl::start(loop, std::move(*bound), std::move(handler));
}

Result<std::unique_ptr<Listener>> Listener::adopt(EventLoop& loop, Fd socket, Handler handler,
                                                  SocketFile file) {
  if (auto ok = check_listening(socket.get()); !ok) return std::unexpected(std::move(ok.error()));
  if (::fcntl(socket.get(), F_SETFL, O_RDWR | O_NONBLOCK) < 0 ||
      ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC) < 0)
    return fail_errno(errno, "cannot prepare the inherited socket");
  return Impl::start(loop, BoundSocket{std::move(socket), std::move(file)}, std::move(handler));
}

int Listener::socket() const { return impl_->bound.socket.get(); }
const SocketFile& Listener::file() const { return impl_->bound.file; }
uint64_t Listener::turned_away() const { return impl_->turned_away; }

}  // namespace uarena::ipc
