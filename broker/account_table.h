// The accounts of all uids that this broker has met. An account lives as long as the broker, so
// that charges may point to it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "broker/account.h"

namespace uarena::broker {

class AccountTable {
 public:
  Account& of(uint32_t uid) {
    std::lock_guard guard(lock_);
    std::unique_ptr<Account>& account = accounts_[uid];
    if (!account) account = std::make_unique<Account>(uid);
    return *account;
  }

 private:
  std::mutex lock_;
  std::map<uint32_t, std::unique_ptr<Account>> accounts_;
};

}  // namespace uarena::broker
