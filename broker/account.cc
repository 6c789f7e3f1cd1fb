// Charging is one atomic addition: whoever asks for a resource adds to his uid's count before the
// resource is made, and the Charge takes it back when the resource goes. Limits will be a
// comparison in Account::charge and Charge::grow, which therefore return a Result already.
#include "broker/account.h"

namespace uarena::broker {
namespace {

constexpr const char* kResourceNames[] = {"pages", "arenas", "programs", "connections"};

}  // namespace

Result<Charge> Account::charge(Resource resource, uint64_t amount) {
  used_[static_cast<size_t>(resource)].fetch_add(amount, std::memory_order_relaxed);
  return Charge(this, resource, amount);
}

Charge::~Charge() {
  if (account_ != nullptr) shrink(amount_);
}

Result<void> Charge::grow(uint64_t amount) {
  UARENA_ASSERT(account_ != nullptr, "a charge without account grew by {}", amount);
  account_->used_[static_cast<size_t>(resource_)].fetch_add(amount, std::memory_order_relaxed);
  amount_ += amount;
  return {};
}

void Charge::shrink(uint64_t amount) {
  UARENA_ASSERT(account_ != nullptr && amount <= amount_, "giving back {} of {} {}", amount,
                amount_, kResourceNames[static_cast<size_t>(resource_)]);
  account_->used_[static_cast<size_t>(resource_)].fetch_sub(amount, std::memory_order_relaxed);
  amount_ -= amount;
}

}  // namespace uarena::broker
