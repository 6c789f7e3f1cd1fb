// The adapter between the fault loop, which knows userfaultfd, and the arena, which knows pages:
// one question down, one verdict back. It is the whole of what a fault thread sees of the broker.
#pragma once

#include <memory>
#include <utility>

#include "broker/arena.h"
#include "uffd/resolver.h"

namespace uarena::broker {

class FaultPolicy final : public uffd::Resolver {
 public:
  explicit FaultPolicy(std::shared_ptr<Arena> arena) : arena_(std::move(arena)) {}

  uffd::Verdict resolve(const uffd::Fault& fault) noexcept override {
    switch (arena_->fault(fault.address)) {
      case FaultDecision::installed:
        return uffd::Verdict::installed;
      case FaultDecision::present:
        return uffd::Verdict::present;
      case FaultDecision::refuse:
        break;
    }
    return uffd::Verdict::refuse;
  }
  uint32_t make_around(uint64_t address, uint32_t pages, const Make& make) noexcept override {
    return arena_->fault_around(address, pages, make);
  }

 private:
  std::shared_ptr<Arena> arena_;
};

}  // namespace uarena::broker
