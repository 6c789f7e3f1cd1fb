// The socket that clients connect to: bound to a path or inherited. It survives its predecessor's
// leftovers (a socket file on which nobody answers), respects its neighbours (one on which somebody
// does), and keeps accepting when the process runs out of descriptors, by holding one in reserve
// with which it can at least turn the next client away instead of spinning.
//
// Threads: the loop's only.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"
#include "ipc/credentials.h"
#include "ipc/event_loop.h"
#include "ipc/socket_file.h"

namespace uarena::ipc {

class Listener {
 public:
  // May destroy the listener.
  using Handler = std::function<void(Fd socket, PeerCredentials peer)>;
  static constexpr int kAcceptsPerWakeup = 16;
  static constexpr int kBacklog = 128;

  // Makes the socket file with exactly this mode. EADDRINUSE: somebody answers there. EEXIST: the
  // path is something else than a socket. ENAMETOOLONG: more than 107 bytes. EBUSY: another process
  // has been setting up a socket in that directory for a second. Others: as bind(2).
  // On close the file is removed, if it is still ours.
  static Result<std::unique_ptr<Listener>> bind(EventLoop& loop, const std::string& path,
                                                mode_t mode, Handler handler);
  // Takes over a listening SOCK_SEQPACKET socket (EINVAL: it is none). Its file stays on close,
  // unless it is given along.
  static Result<std::unique_ptr<Listener>> adopt(EventLoop& loop, Fd socket, Handler handler,
                                                 SocketFile file = {});

  ~Listener();

  // The listening socket, and the file that is removed on close.
  int socket() const;
  const SocketFile& file() const;
  // Clients that were turned away since the start for want of descriptors.
  uint64_t turned_away() const;

 private:
  struct Impl;
  explicit Listener(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace uarena::ipc
