// Making an arena, and what is constant about it. The rest: arena_alloc.cc (allocate, free,
// reserve), arena_fault.cc (faults, prefault), arena_inspect.cc (looking without disturbing).
#include "broker/arena.h"

#include <chrono>

#include "broker/arena_attr.h"
#include "broker/arena_impl.h"

namespace uarena::broker {

Arena::Impl::Impl(ArenaIdentity who, MemoryFile memory, KernelView kernel_view, PageTable pages,
                  Charge for_arena, Charge for_pages)
    : identity(std::move(who)),
      file(std::move(memory)),
      view(std::move(kernel_view)),
      arena_view{view.kern_vm_start(), identity.user_vm_start, file.size(),
                 (identity.attr.map_flags & kBpfFNoUserConv) != 0},
      arena_charge(std::move(for_arena)),
      table(std::move(pages)),
      page_charge(std::move(for_pages)) {}

Arena::Arena(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Arena::~Arena() = default;

Result<std::shared_ptr<Arena>> Arena::create(uint64_t id, std::string name, const ArenaAttr& attr,
                                             uint64_t user_vm_start, uint32_t owner_uid,
                                             Account& account) {
  const uint64_t size = uint64_t{attr.max_entries} * kPageSize;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto created = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  ArenaIdentity identity{
      id, std::move(name), attr, user_vm_start, owner_uid, static_cast<uint64_t>(created)};

  auto arena_charge = account.charge(Resource::arenas, 1);
  if (!arena_charge) return std::unexpected(arena_charge.error());
  auto page_charge = account.charge(Resource::pages, 0);
  if (!page_charge) return std::unexpected(page_charge.error());
  auto file = MemoryFile::create("uarena-" + identity.name, size);
  if (!file) return std::unexpected(file.error());
  auto view = KernelView::create(*file, user_vm_start);
  if (!view) return std::unexpected(view.error());
  auto table = PageTable::create(identity);
  if (!table) return std::unexpected(table.error());
  return std::shared_ptr<Arena>(new Arena(std::make_unique<Impl>(
      std::move(identity), std::move(*file), std::move(*view), std::move(*table),
      std::move(*arena_charge), std::move(*page_charge))));
}

uint64_t Arena::id() const { return impl_->identity.id; }
const std::string& Arena::name() const { return impl_->identity.name; }
const ArenaAttr& Arena::attr() const { return impl_->identity.attr; }
uint32_t Arena::owner_uid() const { return impl_->identity.owner_uid; }
uint64_t Arena::user_vm_start() const { return impl_->identity.user_vm_start; }
uint64_t Arena::size() const { return impl_->file.size(); }
bool Arena::segv_on_fault() const { return impl_->segv_on_fault(); }
int Arena::memory_fd() const { return impl_->file.fd(); }
const jit::ArenaView& Arena::view() const { return impl_->arena_view; }

}  // namespace uarena::broker
