// Finding and greeting the broker; see broker_link.h.
#include "ipc/client/broker_link.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>

#include "ipc/base/page.h"

namespace uarena::ipc {
namespace {

constexpr const char* kSystemSocket = "/run/uarena/uarena.sock";

// How long a broker may take to accept and greet when the caller sets no limit.
constexpr std::chrono::seconds kHelloLimit{10};

constexpr int kConnectTries = 5;

bool is_lost(const Error& error) { return error.code == ECONNRESET || error.code == EPIPE; }

// None: for as long as it takes.
void set_limit(int socket, BrokerLink::Limit limit) {
  const auto us = std::chrono::microseconds(limit.value_or(std::chrono::milliseconds(0)));
  const timeval time{us.count() / 1'000'000, us.count() % 1'000'000};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

Error connect_error(int code, const std::string& path) {
  switch (code) {
    case ENOENT:
      return {code, fmt::format("no broker: there is no socket {}", path), Why::unreachable};
    case ECONNREFUSED:
      return {code, fmt::format("no broker: nobody listens on {}", path), Why::unreachable};
    case EAGAIN:
      return {ETIMEDOUT, fmt::format("the broker at {} does not accept connections", path),
              Why::unreachable};
    case EACCES:
    case EPERM:
      return {EACCES, fmt::format("the socket {} may not be used by this user", path),
              Why::permission};
    default:
      return {code, fmt::format("cannot connect to {}: {}", path, strerrordesc_np(code)),
              Why::unreachable};
  }
}

Result<Fd> connect_socket(const std::string& path, BrokerLink::Limit limit) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(Why::usage, path.empty() ? EINVAL : ENAMETOOLONG,
                "a socket's path has 1..{} bytes, this one has {}", sizeof address.sun_path - 1,
                path.size());
  path.copy(address.sun_path, path.size());

  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno(errno, "cannot make a socket");
  set_limit(socket.get(), limit.value_or(kHelloLimit));
  int result;
  do {
    result = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } while (result < 0 && errno == EINTR);
  if (result < 0) return std::unexpected(connect_error(errno, path));
  return socket;
}

}  // namespace

std::string default_socket_path() {
  const char* named = ::secure_getenv("UARENA_SOCKET");
  if (named != nullptr && *named != '\0') return named;
  const char* runtime = ::secure_getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && *runtime == '/') {
    std::string own = std::string(runtime) + "/uarena/uarena.sock";
    if (::access(own.c_str(), F_OK) == 0) return own;
  }
  return kSystemSocket;
}

Result<std::unique_ptr<BrokerLink>> BrokerLink::connect(const std::string& path, Limit limit) {
  const std::string where = path.empty() ? default_socket_path() : path;
  for (int tries = 1;; ++tries) {
    auto socket = connect_socket(where, limit);
    if (!socket) return std::unexpected(std::move(socket.error()));
    auto link = greet(std::move(*socket), where, limit);
    // A broker that dies before it has greeted us does not know us; its successor, who has the same
    // socket, will.
    if (link || !is_lost(link.error()) || tries == kConnectTries) return link;
  }
}

Result<std::unique_ptr<BrokerLink>> BrokerLink::greet(Fd socket, const std::string& path,
                                                      Limit limit) {
  auto preferred = uarena::ipc::preferences();
  if (!preferred) return std::unexpected(std::move(preferred.error()));
  std::unique_ptr<BrokerLink> link(new BrokerLink(std::move(socket), limit));
  link->preferences_ = *preferred;
  set_limit(link->control_.socket(), limit.value_or(kHelloLimit));
  uarena_hello hello{};
  hello.abi_min = UARENA_ABI_VERSION;
  hello.abi_max = UARENA_ABI_VERSION;
  auto reply = link->control_.ask<uarena_hello_reply>(UARENA_MSG_HELLO, hello);
  if (!reply) {
    Error error = std::move(reply.error().error);
    error.message = fmt::format("{} ({})", error.message, path);
    return std::unexpected(std::move(error));
  }
  link->broker_ = reply->body;
  if (link->broker_.abi != UARENA_ABI_VERSION || link->broker_.page_size != kPageSize)
    return fail(Why::version, EPROTONOSUPPORT,
                "the broker at {} speaks version {} with pages of {} bytes, this library {} and {}",
                path, link->broker_.abi, link->broker_.page_size, UARENA_ABI_VERSION, kPageSize);
  set_limit(link->control_.socket(), limit);
  return link;
}

Result<Channel*> BrokerLink::run() {
  // Before the lock, which another thread may have held when this process was forked off.
  if (auto ok = control_.check_process(); !ok) return std::unexpected(std::move(ok.error()));
  const std::lock_guard lock(run_mutex_);
  if (run_ == nullptr) {
    auto reply = control_.ask<uarena_empty>(UARENA_MSG_RUN_CHANNEL, uarena_empty{});
    if (!reply) return std::unexpected(std::move(reply.error().error));
    set_limit(reply->fds.front().get(), limit_);
    run_ = std::make_unique<Channel>(std::move(reply->fds.front()));
  }
  return run_.get();
}

}  // namespace uarena::ipc
