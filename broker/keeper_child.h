// Starts the broker as a keeper's child: this same program without --keeper, with the descriptors
// at 3, 4, 5… as sd_listen_fds(3) has it, and an environment that says so.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"

namespace uarena::broker {

struct KeeperChild {
  pid_t pid = -1;
  Fd pidfd;
};

struct ChildPlan {
  std::vector<std::string> arguments;  // argv[0] first
  std::vector<int> fds;                // stay the keeper's
  std::string fd_names;                // a:b:c, one for each
  int notify_address = -1;             // NotifySocket::address_fd
  size_t store_max = 0;                // what the child may keep with us
  sigset_t signals;                    // its mask
};

Result<KeeperChild> start_child(const ChildPlan& plan);

// In the child, first of all: from now on the keeper's death is ours. Nothing for a process that no
// keeper has started.
void die_with_keeper();

}  // namespace uarena::broker
