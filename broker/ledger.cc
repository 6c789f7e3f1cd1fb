#include "broker/ledger.h"

#include <sys/mman.h>

#include <cstddef>

#include "broker/memory_file.h"
#include "ipc/base/page.h"

namespace uarena::broker {
namespace {

constexpr uint64_t kMagic = 0x017265676465736c;  // the bytes "lsedger\x01"
constexpr uint64_t kVersion = 1;

}  // namespace

struct Ledger::Layout {
  std::atomic<uint64_t> magic;
  std::atomic<uint64_t> version;
  std::atomic<uint64_t> given[static_cast<size_t>(Counter::count)];  // the last number of each kind
  alignas(kPageSize) Slot slots[kSlots];
};

Ledger::Ledger(Fd fd, MemoryMap map) : fd_(std::move(fd)), map_(std::move(map)) {}

Result<Ledger> Ledger::map(Fd fd) {
  auto map = MemoryMap::create(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED,
                               fd.get(), 0, "the ledger");
  if (!map) return std::unexpected(map.error());
  return Ledger(std::move(fd), std::move(*map));
}

Result<Ledger> Ledger::create() {
  auto fd = create_sealed_memfd("uarena-ledger", sizeof(Layout));
  if (!fd) return std::unexpected(fd.error());
  auto ledger = map(std::move(*fd));
  if (!ledger) return ledger;
  ledger->layout().version = kVersion;
  ledger->layout().magic = kMagic;
  return ledger;
}

Result<Ledger> Ledger::open_untrusted(Fd fd) {
  if (auto good = check_sealed_memfd_untrusted(fd.get(), sizeof(Layout), "the ledger"); !good)
    return std::unexpected(good.error());
  auto ledger = map(std::move(fd));
  if (!ledger) return ledger;
  const Layout& layout = ledger->layout();
  if (layout.magic != kMagic)
    return fail(EINVAL, "no ledger: it begins with {:#x}", layout.magic.load());
  if (layout.version != kVersion)
    return fail(Why::version, EPROTONOSUPPORT, "ledger of version {}, this broker knows {}",
                layout.version.load(), kVersion);
  for (const auto& given : layout.given)
    if (given > UINT64_MAX / 2) return fail(EINVAL, "the ledger has given out {}", given.load());
  return ledger;
}

uint64_t Ledger::next(Counter counter, uint64_t count) {
  return layout().given[static_cast<size_t>(counter)].fetch_add(count) + 1;
}

bool Ledger::given(Counter counter, uint64_t number) const {
  return number != 0 && number <= layout().given[static_cast<size_t>(counter)];
}

std::optional<uint32_t> Ledger::take_slot() {
  const std::lock_guard guard(slots_->lock);
  for (uint32_t tried = 0; tried < kSlots; ++tried) {
    const uint32_t slot = slots_->next++ % kSlots;
    if (slots_->taken[slot]) continue;
    slots_->taken[slot] = true;
    layout().slots[slot].begun = 0;
    return slot;
  }
  return std::nullopt;
}

bool Ledger::take_slot(uint32_t slot) {
  const std::lock_guard guard(slots_->lock);
  if (slot >= kSlots || slots_->taken[slot]) return false;
  slots_->taken[slot] = true;
  return true;
}

void Ledger::release_slot(uint32_t slot) {
  const std::lock_guard guard(slots_->lock);
  UARENA_ASSERT(slot < kSlots && slots_->taken[slot], "slot {}", slot);
  layout().slots[slot].begun = 0;
  slots_->taken[slot] = false;
}

Ledger::Slot& Ledger::slot(uint32_t slot) const {
  UARENA_ASSERT(slot < kSlots, "slot {}", slot);
  return layout().slots[slot];
}

}  // namespace uarena::broker
