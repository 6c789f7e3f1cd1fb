// Who is at the other end of a socket, as the kernel says it and not as the peer claims. A pid
// alone can be reused by another process at any time; the pidfd that comes with it can't, so
// whatever is done to a peer later (a signal, a look into /proc) first asks the pidfd whether it
// still lives.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <string>
#include <vector>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"

namespace uarena::ipc {

struct PeerCredentials {
  pid_t pid = 0;  // in our pid namespace
  uid_t uid = 0;
  gid_t gid = 0;
  Fd pidfd;
  std::vector<gid_t> groups;  // the supplementary ones
  std::string comm;           // chosen by the peer: escape before printing; may be empty

  bool is_member(gid_t group) const {
    return gid == group || std::ranges::find(groups, group) != groups.end();
  }
};

// Who had the socket when the connection was made. ESRCH: that process has gone, or its pid means
// nothing in our pid namespace. Others: as getsockopt(2) and pidfd_open(2).
Result<PeerCredentials> peer_credentials(int socket);

// Whether the process of a pidfd has not exited yet.
bool is_alive(const Fd& pidfd);

}  // namespace uarena::ipc
