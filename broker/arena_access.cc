#include "broker/arena_access.h"

#include <unistd.h>

#include <algorithm>

#include "ipc/mode_text.h"

namespace uarena::broker {
namespace {

constexpr unsigned kOwnerShift = 8;
constexpr unsigned kGroupShift = 4;

std::string_view doing(Right right) {
  switch (right) {
    case Right::read:
      return "read";
    case Right::write:
      return "write";
    case Right::run:
      return "run programs on";
    case Right::load:
      return "bind a program to";
  }
  return "use";
}

}  // namespace

bool Who::is_member(gid_t group) const {
  return gid == group || std::ranges::find(groups, group) != groups.end();
}

bool Who::may_everything() const { return uid == 0 || uid == ::geteuid(); }

bool ArenaAccess::allows(const Who& who, Right right) const {
  if (who.may_everything()) return true;
  const unsigned shift = who.uid == uid ? kOwnerShift : who.is_member(gid) ? kGroupShift : 0;
  return (mode >> shift & static_cast<uint32_t>(right)) != 0;
}

Result<void> check_access(const ArenaAccess& access, const Who& who, Right right,
                          std::string_view name) {
  if (access.allows(who, right)) return {};
  return fail(Why::permission, EACCES,
              "uid {} may not {} arena {}: it belongs to uid {}, gid {}, mode {}", who.uid,
              doing(right), name, access.uid, access.gid, ipc::mode_text(access.mode));
}

Result<void> check_change(const ArenaAccess& now, const ArenaAccess& wanted, const Who& who,
                          std::string_view name) {
  if (who.may_everything()) return {};
  if (who.uid != now.uid)
    return fail(Why::permission, EPERM,
                "arena {} belongs to uid {}: only that uid or root may change its mode or owner",
                name, now.uid);
  if (wanted.uid != now.uid)
    return fail(Why::permission, EPERM, "only root may give arena {} to another uid", name);
  if (wanted.gid != now.gid && !who.is_member(wanted.gid))
    return fail(Why::permission, EPERM, "uid {} is no member of group {}", who.uid, wanted.gid);
  return {};
}

}  // namespace uarena::broker
