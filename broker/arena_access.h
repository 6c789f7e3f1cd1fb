// Who may do what with an arena. It has an owner, a group and a mode, as a file has, with four
// rights instead of three:
//
//   read   look at its pages, and attach it read-only
//   write  attach it; allocate, free and reserve pages
//   run    run programs that are bound to it
//   load   bind a program to it
//
// As with files the first class that somebody belongs to decides: the owner's bits for the owner,
// the group's for members of the group, the others' for everybody else. Root and the broker's own
// uid may do everything. Who somebody is says the kernel (SO_PEERCRED, SO_PEERGROUPS), at the
// moment of connecting. A right is asked for when something begins: what is attached or runs goes
// on.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "ipc/abi_accounts.h"
#include "ipc/base/result.h"

namespace uarena::broker {

// Somebody who asks.
struct Who {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups = {};

  bool is_member(gid_t group) const;
  // Root, and the broker's own uid.
  bool may_everything() const;
};

enum class Right : uint32_t {
  read = UARENA_RIGHT_READ,
  write = UARENA_RIGHT_WRITE,
  run = UARENA_RIGHT_RUN,
  load = UARENA_RIGHT_LOAD,
};

struct ArenaAccess {
  uid_t uid = 0;
  gid_t gid = 0;
  uint32_t mode = UARENA_MODE_ALL;  // the owner's rights << 8, the group's << 4, the others'

  bool allows(const Who& who, Right right) const;
  friend bool operator==(const ArenaAccess&, const ArenaAccess&) = default;
};

// EACCES, Why::permission, with who may what. `name` is the arena's.
Result<void> check_access(const ArenaAccess& access, const Who& who, Right right,
                          std::string_view name);

// What becomes of the access when `who` asks for `wanted` instead. EPERM: only the owner may change
// the mode, and the group to one that he is in; only root and the broker's uid give it to somebody
// else.
Result<void> check_change(const ArenaAccess& now, const ArenaAccess& wanted, const Who& who,
                          std::string_view name);

}  // namespace uarena::broker
