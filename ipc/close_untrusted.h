// Closing a descriptor that a peer has sent can take as long as the peer likes: the last close of a
// socket with SO_LINGER waits for its bytes to be sent, that of a file in somebody's FUSE mount for
// an answer of that file system, that of a userfaultfd for the memory lock of its process. So what
// a peer sent is closed by a thread of its own, unless it is of a kind that is known to close at
// once. The same holds for a socket whose peer may have put such descriptors into records that
// nobody has read.
//
// Threads: any. Nothing here waits for a peer.
#pragma once

#include <utility>
#include <vector>

#include "ipc/base/fd.h"

namespace uarena::ipc {

// A memfd or an event descriptor: closing it waits for nobody.
bool closes_at_once(int fd);

// Closes them now or soon.
void close_untrusted(std::vector<Fd> fds);

// The descriptors of a record. Those that came from a peer are closed as above by whoever lets them
// go; those that are ours, on their way to a peer, at once.
class RecordFds : public std::vector<Fd> {
 public:
  RecordFds() = default;
  static RecordFds received(std::vector<Fd> fds) {
    RecordFds made;
    made.std::vector<Fd>::operator=(std::move(fds));
    made.from_peer_ = true;
    return made;
  }
  RecordFds(RecordFds&& other) noexcept = default;
  RecordFds& operator=(RecordFds&& other) noexcept {
    if (this != &other) {
      let_go();
      std::vector<Fd>::operator=(std::move(other));
      from_peer_ = other.from_peer_;
    }
    return *this;
  }
  ~RecordFds() { let_go(); }

 private:
  void let_go() {
    if (from_peer_ && !empty()) close_untrusted(std::move(static_cast<std::vector<Fd>&>(*this)));
  }
  bool from_peer_ = false;
};

// Ends a connection: reads what is left in it, so that closing it closes nothing else.
void close_connection(Fd socket);

}  // namespace uarena::ipc
