// How much of each resource a uid may have at a time. An administrator sets amounts for users, for
// groups and for everybody (config.h); what counts for one uid is decided here: its own amount,
// else the largest of its groups', else everybody's, else no limit.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string_view>

#include "ipc/resource_names.h"

namespace uarena::broker {

// In the order of enum uarena_resource. Pending faults are page faults that the broker has read and
// not answered. Two are rates, which nobody holds: CPU time of programs in milliseconds per second,
// measured when a run is over (Account::may_run), and new connections per second. All others are
// charged before.
enum class Resource {
  pages,
  arenas,
  programs,
  connections,
  descriptors,
  pending_faults,
  cpu_ms,
  connects,
  count
};

inline constexpr size_t kResources = static_cast<size_t>(Resource::count);
using ipc::kResourceNames;
static_assert(kResources == kResourceNames.size());

inline constexpr uint64_t kUnlimited = UINT64_MAX;

using Amounts = std::array<uint64_t, kResources>;
using LimitSet = std::array<std::optional<uint64_t>, kResources>;  // none: nothing is said here

struct LimitTable {
  LimitSet everybody{};
  std::map<gid_t, LimitSet> groups;
  std::map<uid_t, LimitSet> users;

  // `groups_of_it`: all that the uid's process is a member of.
  Amounts of(uid_t uid, std::span<const gid_t> groups_of_it) const;
};

}  // namespace uarena::broker
