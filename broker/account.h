// Who pays for what. Every page, arena, program, connection and descriptor is charged to the
// account of the uid that asked for it before it is made, and the object holds its Charge: when the
// object goes, the charge goes. A charge beyond the uid's limit is refused with EDQUOT, and the
// sentence says what was asked for, what is used and what is allowed; that is counted, and the
// first time it is logged.
//
// Besides the uids there is one more account, of the broker as a whole: what it can have of memory
// without meeting the end of its memory cgroup (memory_group.h). Whatever the broker itself makes
// is charged there too, and beyond it is ENOMEM.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "broker/limits.h"
#include "broker/rate_meter.h"
#include "ipc/base/clock.h"
#include "ipc/base/result.h"

namespace uarena::broker {

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
  // For what is there already, whatever the limit is.
  void grow_anyway(uint64_t amount);
  // By how much it can grow now.
  uint64_t room() const;
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
  explicit Account(uint32_t uid) : Account(uid, unlimited_memory()) {}
  Account(uint32_t uid, Account& memory);
  // The broker's own.
  struct OfTheBroker {};
  explicit Account(OfTheBroker);
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  // EDQUOT, Why::quota: beyond the limit.
  Result<Charge> charge(Resource resource, uint64_t amount);
  // What is there already and must not be lost, whatever the limit is.
  Charge charge_anyway(Resource resource, uint64_t amount);

  // Programs of this uid may begin to run: what they took lately is below the limit. EDQUOT.
  Result<void> may_run();
  // They have run for so long, in CPU time.
  void ran(uint64_t cpu_ns);
  // One more connection, unless there were too many lately: EDQUOT.
  Result<void> connect();

  uint64_t used(Resource resource) const;
  uint64_t limit(Resource resource) const { return read(limits_, resource); }
  uint64_t denied(Resource resource) const { return read(denied_, resource); }  // charges
  uint32_t uid() const { return uid_; }
  // The broker's, where memory that it makes for this uid is charged, in Resource::pages.
  Account& memory() { return *memory_; }

  // Counts for what is charged from now on. What is used beyond it stays.
  void set_limits(const Amounts& limits);
  // Which groups the uid's processes are in, as the kernel said at the latest connection.
  void set_groups(std::vector<gid_t> groups);
  std::vector<gid_t> groups() const;

 private:
  friend class Charge;
  using Counts = std::array<std::atomic<uint64_t>, kResources>;
  static uint64_t read(const Counts& counts, Resource resource) {
    return counts[static_cast<size_t>(resource)].load(std::memory_order_relaxed);
  }
  void note_denied(Resource resource, uint64_t asked, uint64_t used, uint64_t limit);
  Result<void> take(Resource resource, uint64_t amount);
  Error refuse(Resource resource, uint64_t amount, uint64_t used, uint64_t limit);
  bool of_the_broker() const { return memory_ == this; }
  static Account& unlimited_memory();

  const uint32_t uid_;
  Account* const memory_;
  Counts used_{};
  Counts limits_;
  Counts denied_{};
  RateMeter cpu_, connects_;
  mutable std::mutex lock_;
  std::vector<gid_t> groups_;
};

// Charges the CPU time that this thread takes while it lives. To ask the kernel for that costs two
// system calls, a tenth of a short run: where there is no limit, the elapsed time is good enough,
// which is never less.
class CpuCharge {
 public:
  explicit CpuCharge(Account& account)
      : account_(account),
        clock_(account.limit(Resource::cpu_ms) == kUnlimited ? CLOCK_MONOTONIC
                                                             : CLOCK_THREAD_CPUTIME_ID),
        begun_ns_(clock_ns(clock_)) {}
  ~CpuCharge() { account_.ran(clock_ns(clock_) - begun_ns_); }
  CpuCharge(const CpuCharge&) = delete;
  CpuCharge& operator=(const CpuCharge&) = delete;

 private:
  Account& account_;
  const clockid_t clock_;
  const uint64_t begun_ns_;
};

}  // namespace uarena::broker
