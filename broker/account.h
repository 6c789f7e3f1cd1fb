// Who pays for what. Every page, arena, program and connection is charged to the account of the uid
// that asked for it before it is made, and the object holds its Charge: when the object goes, the
// charge goes. Limits are not set in this version (charging always succeeds); the counts are real.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "ipc/base/result.h"

namespace uarena::broker {

enum class Resource { pages, arenas, programs, connections, count };

class Account;

// An amount of one resource, given back when it is destroyed.
class Charge {
 public:
  Charge() = default;
  Charge(Charge&& other) noexcept
      : account_(std::exchange(other.account_, nullptr)),
        resource_(other.resource_),
        amount_(std::exchange(other.amount_, 0)) {}
  Charge& operator=(Charge&& other) noexcept {
    std::swap(account_, other.account_);
    std::swap(resource_, other.resource_);
    std::swap(amount_, other.amount_);
    return *this;
  }
  ~Charge();

  uint64_t amount() const { return amount_; }
  // More of the same resource; on failure nothing changes.
  Result<void> grow(uint64_t amount);
  void shrink(uint64_t amount);

 private:
  friend class Account;
  Charge(Account* account, Resource resource, uint64_t amount)
      : account_(account), resource_(resource), amount_(amount) {}
  Account* account_ = nullptr;
  Resource resource_ = Resource::pages;
  uint64_t amount_ = 0;
};

// Threads: all functions may be called from any thread. Outlives its charges.
class Account {
 public:
  explicit Account(uint32_t uid) : uid_(uid) {}
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  Result<Charge> charge(Resource resource, uint64_t amount);
  uint64_t used(Resource resource) const {
    return used_[static_cast<size_t>(resource)].load(std::memory_order_relaxed);
  }
  uint32_t uid() const { return uid_; }

 private:
  friend class Charge;
  uint32_t uid_;
  std::atomic<uint64_t> used_[static_cast<size_t>(Resource::count)] = {};
};

}  // namespace uarena::broker
