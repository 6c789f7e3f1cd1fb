// The accounts of all uids that this broker has met, and the limits that they have by the
// configuration. An account lives as long as the broker, so that charges may point to it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "broker/account.h"
#include "broker/limits.h"

namespace uarena::broker {

class AccountTable {
 public:
  // Without limits until somebody of that uid connects: what a predecessor has left is never lost
  // to a limit.
  Account& of(uint32_t uid) {
    const std::lock_guard guard(lock_);
    return find(uid);
  }

  // A process of that uid has connected: from now on the uid's limits count.
  Account& meet(uint32_t uid, std::vector<gid_t> groups) {
    const std::lock_guard guard(lock_);
    Account& account = find(uid);
    account.set_limits(limits_.of(uid, groups));
    account.set_groups(std::move(groups));
    met_.insert(uid);
    return account;
  }

  // From now on, for everybody.
  void set_limits(LimitTable limits) {
    const std::lock_guard guard(lock_);
    limits_ = std::move(limits);
    for (const uint32_t uid : met_) {
      Account& account = find(uid);
      account.set_limits(limits_.of(uid, account.groups()));
    }
  }

  // Of the broker as a whole, in Resource::pages.
  Account& memory() { return memory_; }

  // Ascending by uid.
  void for_each(const std::function<void(const Account&)>& visit) const {
    const std::lock_guard guard(lock_);
    for (const auto& [uid, account] : accounts_) visit(*account);
  }

 private:
  Account& find(uint32_t uid) {
    std::unique_ptr<Account>& account = accounts_[uid];
    if (!account) account = std::make_unique<Account>(uid, memory_);
    return *account;
  }

  Account memory_{Account::OfTheBroker{}};
  mutable std::mutex lock_;
  LimitTable limits_;
  std::map<uint32_t, std::unique_ptr<Account>> accounts_;
  std::set<uint32_t> met_;
};

}  // namespace uarena::broker
