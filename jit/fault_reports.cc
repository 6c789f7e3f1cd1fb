#include "jit/fault_reports.h"

#include <sched.h>

#include <algorithm>

namespace uarena::jit {

// The place's own entry, or a free one that is taken for it. Null: the table is full.
FaultReports::Place* FaultReports::find(uint32_t at) noexcept {
  const uint32_t key = at + 1;
  for (size_t n = 0; n < kPlaces; ++n) {
    Place& place = places_[(at + n) % kPlaces];
    uint32_t there = place.key.load(std::memory_order_relaxed);
    if (there == key) return &place;
    if (there == 0 && place.key.compare_exchange_strong(there, key, std::memory_order_relaxed))
      return &place;
    if (there == key) return &place;
  }
  return nullptr;
}

bool FaultReports::counted(uint32_t at, uint64_t address) noexcept {
  Place* const place = find(at);
  if (place == nullptr) {
    lost_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  place->last_address.store(address, std::memory_order_relaxed);
  return place->count.fetch_add(1, std::memory_order_relaxed) != 0;
}

// For one whose place was not counted before.
void FaultReports::note(const Access& access) noexcept {
  Place* const place = find(access.at);
  if (place == nullptr) return;
  place->access = access;
  if (access.caller != nullptr) place->caller = *access.caller;
  place->order = met_.fetch_add(1, std::memory_order_relaxed);
  place->cpu = static_cast<unsigned>(::sched_getcpu());
  place->written.store(true, std::memory_order_release);
}

std::vector<FaultReports::Report> FaultReports::take() {
  const std::scoped_lock guard(taking_);
  std::vector<Place*> met;
  for (Place& place : places_)
    if (place.written.load(std::memory_order_acquire)) met.push_back(&place);
  std::ranges::sort(met, {}, &Place::order);
  std::vector<Report> reports;
  for (Place* const at : met) {
    Place& place = *at;
    const uint64_t count = place.count.load(std::memory_order_relaxed);
    if (count == place.told) continue;
    reports.push_back({.access = place.access,
                       .caller = place.caller,
                       .cpu = place.cpu,
                       .first = place.told == 0,
                       .count = count - place.told,
                       .last_address = place.last_address.load(std::memory_order_relaxed)});
    place.told = count;
  }
  return reports;
}

}  // namespace uarena::jit
