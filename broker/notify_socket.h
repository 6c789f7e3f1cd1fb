// Where a keeper hears its broker: a datagram socket without a place in the file system or among
// the abstract addresses, so that nobody else can send to it. (Whoever could would not be believed,
// but closing the descriptors that come with a datagram can take as long as their sender likes, and
// that would be the keeper's time.) The socket is bound, and its file removed at once; a descriptor
// of the file (O_PATH) is handed down to the broker, whose NOTIFY_SOCKET names it as
// /proc/self/fd/N.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"

namespace uarena::broker {

struct NotifyDatagram {
  std::string text;  // longer than kMaxNotifyBytes: it was cut
  std::vector<Fd> fds;
  pid_t sender = 0;
};

class NotifySocket {
 public:
  static Result<NotifySocket> create();

  // Readable: receive() has something.
  int fd() const { return socket_.get(); }
  // What a sender needs to hold.
  int address_fd() const { return address_.get(); }
  // Never waits.
  std::optional<NotifyDatagram> receive() const;

 private:
  Fd socket_, address_;
};

}  // namespace uarena::broker
