// Publication and reclaiming of the region array; the scheme is described in the header. All
// atomics are sequentially consistent: the argument needs the order "announce, then load the array"
// against "publish, then read the counter".
#include "jit/exception_registry.h"

#include <sched.h>

#include <algorithm>
#include <utility>

#include "ipc/base/result.h"

namespace uarena::jit {

ExceptionRegistry& ExceptionRegistry::instance() {
  // Never destroyed: a fault may come after static destructors began to run.
  static ExceptionRegistry& registry = *new ExceptionRegistry;
  return registry;
}

void ExceptionRegistry::add(const ExceptionRegion* region) {
  const std::scoped_lock lock(writers_);
  const Regions* current = published_.load();
  Regions next = current != nullptr ? *current : Regions();
  next.insert(std::ranges::upper_bound(next, region->start(), {}, &ExceptionRegion::start), region);
  publish(std::move(next));
}

void ExceptionRegistry::remove(const ExceptionRegion* region) {
  const std::scoped_lock lock(writers_);
  const Regions* current = published_.load();
  Regions next = current != nullptr ? *current : Regions();
  const size_t removed = std::erase(next, region);
  UARENA_ASSERT(removed == 1, "exception region at {:#x} is registered {} times", region->start(),
                removed);
  publish(std::move(next));
}

void ExceptionRegistry::publish(Regions regions) {
  const Regions* old = published_.exchange(new Regions(std::move(regions)));
  wait_for_readers();
  delete old;
}

void ExceptionRegistry::wait_for_readers() {
  for (int turn = 0; turn < 2; ++turn) {
    const uint32_t previous = epoch_.fetch_add(1) & 1;
    // A handler is inside for well under a microsecond unless it is preempted.
    while (inside_[previous].load() != 0) sched_yield();
  }
}

ExceptionRegistry::Reader::Reader(ExceptionRegistry& registry)
    : inside_(registry.inside_[registry.epoch_.load() & 1]) {
  inside_.fetch_add(1);
  regions_ = registry.published_.load();
}

ExceptionRegistry::Reader::~Reader() { inside_.fetch_sub(1); }

const ExceptionRegion* ExceptionRegistry::Reader::find(uint64_t rip) const {
  if (regions_ == nullptr) return nullptr;
  auto after = std::ranges::upper_bound(*regions_, rip, {}, &ExceptionRegion::start);
  if (after == regions_->begin()) return nullptr;
  const ExceptionRegion* region = *std::prev(after);
  return rip < region->end() ? region : nullptr;
}

}  // namespace uarena::jit
