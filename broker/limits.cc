#include "broker/limits.h"

#include <algorithm>

namespace uarena::broker {
namespace {

std::optional<uint64_t> largest(const std::map<gid_t, LimitSet>& groups,
                                std::span<const gid_t> members_of, size_t resource) {
  std::optional<uint64_t> most;
  for (const gid_t group : members_of)
    if (const auto found = groups.find(group); found != groups.end())
      most = std::max(most, found->second[resource]);
  return most;
}

}  // namespace

Amounts LimitTable::of(uid_t uid, std::span<const gid_t> groups_of_it) const {
  const auto own = users.find(uid);
  Amounts amounts;
  for (size_t n = 0; n < kResources; ++n) {
    std::optional<uint64_t> amount;
    if (own != users.end()) amount = own->second[n];
    if (!amount) amount = largest(groups, groups_of_it, n);
    if (!amount) amount = everybody[n];
    amounts[n] = amount.value_or(kUnlimited);
  }
  return amounts;
}

}  // namespace uarena::broker
