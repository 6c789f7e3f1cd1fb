// Charging is one atomic addition, made before the resource is; the Charge takes it back when the
// resource goes.
#include "broker/account.h"

#include <unistd.h>

#include "ipc/base/clock.h"
#include "ipc/base/log.h"

namespace uarena::broker {

Account::Account(uint32_t uid, Account& memory) : uid_(uid), memory_(&memory) {
  for (auto& limit : limits_) limit = kUnlimited;
}

Account::Account(OfTheBroker) : Account(::geteuid(), *this) {}

Account& Account::unlimited_memory() {
  static Account memory{OfTheBroker{}};
  return memory;
}

Result<void> Account::take(Resource resource, uint64_t amount) {
  const auto n = static_cast<size_t>(resource);
  const uint64_t limit = limits_[n].load(std::memory_order_relaxed);
  uint64_t used = used_[n].load(std::memory_order_relaxed);
  do {
    if (used > limit || amount > limit - used)
      return std::unexpected(refuse(resource, amount, used, limit));
  } while (!used_[n].compare_exchange_weak(used, used + amount, std::memory_order_relaxed));
  return {};
}

void Account::note_denied(Resource resource, uint64_t asked, uint64_t used, uint64_t limit) {
  const auto n = static_cast<size_t>(resource);
  if (denied_[n].fetch_add(1, std::memory_order_relaxed) != 0) return;
  log(LogLevel::warning, of_the_broker() ? "memory.denied" : "quota.denied",
      {{"uid", uid_},
       {"resource", kResourceNames[n]},
       {"asked", asked},
       {"used", used},
       {"limit", limit}});
}

Error Account::refuse(Resource resource, uint64_t amount, uint64_t used, uint64_t limit) {
  const auto n = static_cast<size_t>(resource);
  note_denied(resource, amount, used, limit);
  if (of_the_broker())
    return {ENOMEM, fmt::format("the broker may have {} {} of memory for all users together: it "
                                "has {}, and {} more were asked for",
                                limit, kResourceNames[n], used, amount)};
  return {EDQUOT,
          fmt::format("uid {} may have {} {}: it has {}, and {} more were asked for", uid_, limit,
                      kResourceNames[n], used, amount),
          Why::quota};
}

Result<void> Account::may_run() {
  const uint64_t limit = this->limit(Resource::cpu_ms);
  if (limit == kUnlimited) return {};
  const uint64_t used = this->used(Resource::cpu_ms);
  if (used < limit) return {};
  note_denied(Resource::cpu_ms, 1, used, limit);
  return fail(Why::quota, EDQUOT,
              "programs of uid {} may take {} ms of CPU time per second: they took {} per second "
              "in the last {} s, and more was asked for",
              uid_, limit, used, RateMeter::kWindowSeconds);
}

void Account::ran(uint64_t cpu_ns) { cpu_.add(cpu_ns, clock_ns(CLOCK_MONOTONIC)); }

Result<void> Account::connect() {
  const uint64_t limit = this->limit(Resource::connects);
  const uint64_t used = this->used(Resource::connects);
  if (limit != kUnlimited && used >= limit) {
    note_denied(Resource::connects, 1, used, limit);
    return fail(Why::quota, EDQUOT,
                "uid {} may connect {} times per second: it did so {} times per second in the last "
                "{} s",
                uid_, limit, used, RateMeter::kWindowSeconds);
  }
  connects_.add(1, clock_ns(CLOCK_MONOTONIC));
  return {};
}

uint64_t Account::used(Resource resource) const {
  constexpr uint64_t kNsPerMs = 1'000'000;
  const uint64_t now = clock_ns(CLOCK_MONOTONIC);
  if (resource == Resource::cpu_ms) return cpu_.per_second(now) / kNsPerMs;
  if (resource == Resource::connects) return connects_.per_second(now);
  return read(used_, resource);
}

Result<Charge> Account::charge(Resource resource, uint64_t amount) {
  if (auto taken = take(resource, amount); !taken) return std::unexpected(taken.error());
  return Charge(this, resource, amount);
}

Charge Account::charge_anyway(Resource resource, uint64_t amount) {
  used_[static_cast<size_t>(resource)].fetch_add(amount, std::memory_order_relaxed);
  return Charge(this, resource, amount);
}

void Account::set_limits(const Amounts& limits) {
  for (size_t n = 0; n < kResources; ++n) limits_[n].store(limits[n], std::memory_order_relaxed);
}

void Account::set_groups(std::vector<gid_t> groups) {
  const std::lock_guard guard(lock_);
  groups_ = std::move(groups);
}

std::vector<gid_t> Account::groups() const {
  const std::lock_guard guard(lock_);
  return groups_;
}

Charge::~Charge() {
  if (account_ != nullptr) shrink(amount_);
}

Result<void> Charge::grow(uint64_t amount) {
  UARENA_ASSERT(account_ != nullptr, "a charge without account grew by {}", amount);
  if (auto taken = account_->take(resource_, amount); !taken) return taken;
  amount_ += amount;
  return {};
}

void Charge::grow_anyway(uint64_t amount) {
  UARENA_ASSERT(account_ != nullptr, "a charge without account grew by {}", amount);
  account_->used_[static_cast<size_t>(resource_)].fetch_add(amount, std::memory_order_relaxed);
  amount_ += amount;
}

uint64_t Charge::room() const {
  UARENA_ASSERT(account_ != nullptr, "a charge without account");
  const uint64_t used = account_->used(resource_), limit = account_->limit(resource_);
  return used < limit ? limit - used : 0;
}

void Charge::shrink(uint64_t amount) {
  const auto n = static_cast<size_t>(resource_);
  UARENA_ASSERT(account_ != nullptr && amount <= amount_, "giving back {} of {} {}", amount,
                amount_, kResourceNames[n]);
  account_->used_[n].fetch_sub(amount, std::memory_order_relaxed);
  amount_ -= amount;
}

}  // namespace uarena::broker
