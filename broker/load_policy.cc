// The group's number is looked up once, at the start: later changes of the group's members count,
// changes of its name do not.
#include "broker/load_policy.h"

#include <grp.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <vector>

namespace uarena::broker {
namespace {

// A group with very many members has a long line; getgrnam_r(3) has to hold all of it.
constexpr size_t kGroupLine = size_t{1} << 20;

std::optional<gid_t> group_number(const std::string& name) {
  gid_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && end == name.data() + name.size()) return number;
  std::vector<char> line(kGroupLine);
  group entry{};
  group* found = nullptr;
  if (::getgrnam_r(name.c_str(), &entry, line.data(), line.size(), &found) != 0) return {};
  return found == nullptr ? std::nullopt : std::optional(entry.gr_gid);
}

}  // namespace

Result<LoadPolicy> LoadPolicy::for_group(const std::string& name) {
  LoadPolicy policy;
  if (name.empty()) return policy;
  policy.group_ = group_number(name);
  if (!policy.group_)
    return fail(ENOENT, "there is no group '{}', whose members are to load programs", name);
  policy.name_ = name;
  return policy;
}

std::optional<Error> LoadPolicy::refusal(const ipc::PeerCredentials& peer) const {
  if (peer.uid == 0 || peer.uid == ::geteuid()) return {};
  if (group_ && peer.is_member(*group_)) return {};
  const std::string others =
      group_ ? fmt::format("members of the group '{}'", name_)
             : std::string(
                   "members of a group that uarenad is told of (--load-group), but it was "
                   "told of none");
  return Error{EPERM,
               fmt::format("uid {} may not load programs: allowed are root, uid {} and {}",
                           peer.uid, ::geteuid(), others),
               Why::permission};
}

}  // namespace uarena::broker
