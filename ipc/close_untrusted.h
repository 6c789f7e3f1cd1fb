// Closing a descriptor that a peer has sent can take as long as the peer likes: the last close of a
// socket with SO_LINGER waits for its bytes to be sent, that of a file in somebody's FUSE mount for
// an answer of that file system. So what a peer sent is closed by a thread of its own, unless it is
// of a kind that is known to close at once. The same holds for a socket whose peer may have put
// such descriptors into records that nobody has read.
//
// Threads: any. Nothing here waits for a peer.
#pragma once

#include <vector>

#include "ipc/base/fd.h"

namespace uarena::ipc {

// A memfd, an event descriptor or a userfaultfd: closing it waits for nobody.
bool closes_at_once(int fd);

// Closes them now or soon.
void close_untrusted(std::vector<Fd> fds);

// Takes what does not close at once out of `fds` and closes it as above; an empty Fd is left in its
// place, so that their number still says how many came.
void sift_untrusted(std::vector<Fd>& fds);

// Ends a connection: reads what is left in it, so that closing it closes nothing else.
void close_connection(Fd socket);

}  // namespace uarena::ipc
