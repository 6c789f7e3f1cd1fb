// Making an arena, and what is constant about it. The rest: arena_alloc.cc (allocate, free,
// reserve), arena_fault.cc (faults, prefault), arena_inspect.cc (looking without disturbing).
#include "broker/arena.h"

#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <memory>
#include <system_error>
#include <thread>
#include <tuple>

#include "broker/arena_attr.h"
#include "broker/arena_impl.h"

namespace uarena::broker {
namespace {

constexpr uint64_t kPagesGivenBackAtOnce = 4096;  // some milliseconds

}  // namespace

Arena::Impl::Impl(ArenaIdentity who, MemoryFile memory, KernelView kernel_view, PageTable pages,
                  ArenaCharges charges, ArenaFaults what_faults_come_to)
    : identity(std::move(who)),
      file(std::move(memory)),
      view(std::move(kernel_view)),
      arena_view{view.kern_vm_start(), identity.user_vm_start, file.size(),
                 (identity.attr.map_flags & kBpfFNoUserConv) != 0},
      arena_charge(std::move(charges.arena)),
      descriptor_charge(std::move(charges.descriptors)),
      faults(std::move(what_faults_come_to)),
      access(pages.state_file().access()),
      table(std::move(pages)),
      page_charge(std::move(charges.pages)),
      memory_charge(std::move(charges.memory)) {}

Arena::Arena(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

// Giving back the pages of a full arena takes up to a second, and whoever lets it go last may be
// the control thread. So a large one is given back by a thread of its own, which needs nothing else
// of the broker.
Arena::~Arena() {
  if (impl_->file.blocks() <= kPagesGivenBackAtOnce) return;
  struct Memory {
    MemoryFile file;
    KernelView view;
  };
  std::unique_ptr<Memory> memory(new Memory{std::move(impl_->file), std::move(impl_->view)});
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread([owned = memory.get()] { delete owned; }).detach();
    std::ignore = memory.release();
  } catch (const std::system_error&) {
    // No thread to be had: it takes its time here.
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Result<std::shared_ptr<Arena>> Arena::create(ArenaIdentity identity, Account& account,
                                             ArenaAccess access) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  identity.created_ns =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
  auto file = MemoryFile::create("uarena-" + identity.name,
                                 uint64_t{identity.attr.max_entries} * kPageSize);
  if (!file) return std::unexpected(file.error());
  auto table = PageTable::create(identity, access);
  if (!table) return std::unexpected(table.error());
  return assemble(std::move(*file), std::move(*table), account);
}

Result<std::shared_ptr<Arena>> Arena::open_untrusted(
    Fd memory, Fd state, const std::function<Account&(uint32_t uid)>& account) {
  auto table = PageTable::open_untrusted(std::move(state));
  if (!table) return std::unexpected(table.error());
  const ArenaIdentity& identity = table->state_file().identity();
  auto file = MemoryFile::open_untrusted(std::move(memory),
                                         uint64_t{identity.attr.max_entries} * kPageSize);
  if (!file) return std::unexpected(file.error());
  Account& owner = account(table->state_file().access().uid);
  return assemble(std::move(*file), std::move(*table), owner);
}

// Charges for what is there, and maps the kernel view.
Result<std::shared_ptr<Arena>> Arena::assemble(MemoryFile file, PageTable table, Account& account) {
  ArenaIdentity identity = table.state_file().identity();
  auto arena_charge = account.charge(Resource::arenas, 1);
  if (!arena_charge) return std::unexpected(arena_charge.error());
  auto descriptor_charge = account.charge(Resource::descriptors, ArenaCharges::kDescriptors);
  if (!descriptor_charge) return std::unexpected(descriptor_charge.error());
  const bool all_at_once = identity.faulting.way == FaultWay::direct;
  auto page_charge =
      account.charge(Resource::pages, all_at_once ? identity.attr.max_entries : table.allocated());
  if (!page_charge) return std::unexpected(page_charge.error());
  auto view = KernelView::create(file, identity.user_vm_start);
  if (!view) return std::unexpected(view.error());
  auto trace = uffd::FaultTrace::create();
  if (!trace) return std::unexpected(trace.error());
  ArenaCharges charges{
      std::move(*arena_charge), std::move(*descriptor_charge), std::move(*page_charge),
      account.memory().charge_anyway(Resource::pages, made_by_broker(table, all_at_once))};
  ArenaFaults faults{std::make_shared<uffd::FaultTally>(),
                     std::make_shared<uffd::FaultTrace>(std::move(*trace))};
  return std::shared_ptr<Arena>(
      new Arena(std::make_unique<Impl>(std::move(identity), std::move(file), std::move(*view),
                                       std::move(table), std::move(charges), std::move(faults))));
}

ArenaAccess Arena::access() const {
  const std::lock_guard guard(impl_->access_lock);
  return impl_->access;
}

// The broker's memory is nobody's else: its charge stays.
Result<void> Arena::set_access(const ArenaAccess& access, Account& account) {
  Impl& in = *impl_;
  UARENA_ASSERT(access.uid == account.uid(), "arena {}: account of uid {} for owner {}", id(),
                account.uid(), access.uid);
  const Impl::Guard guard(in.lock);
  const std::lock_guard access_guard(in.access_lock);
  if (access.uid != in.access.uid) {
    auto arena = account.charge(Resource::arenas, in.arena_charge.amount());
    if (!arena) return std::unexpected(arena.error());
    auto descriptors = account.charge(Resource::descriptors, in.descriptor_charge.amount());
    if (!descriptors) return std::unexpected(descriptors.error());
    auto pages = account.charge(Resource::pages, in.page_charge.amount());
    if (!pages) return std::unexpected(pages.error());
    in.arena_charge = std::move(*arena);
    in.descriptor_charge = std::move(*descriptors);
    in.page_charge = std::move(*pages);
  }
  in.table.state_file().set_access(access);
  in.access = access;
  return {};
}

void Arena::note_cut_off_run(CutOff why, uint64_t program_id, const std::string& program,
                             uint64_t when_ns) {
  const Impl::Guard guard(impl_->lock);
  StateFile& state = impl_->table.state_file();
  state.set_cut_off_runs({state.cut_off_runs().count + 1, why, program_id, when_ns, program});
}

CutOffRuns Arena::cut_off_runs() const {
  const Impl::Guard guard(impl_->lock);
  return impl_->table.state_file().cut_off_runs();
}

uint64_t Arena::id() const { return impl_->identity.id; }
const std::string& Arena::name() const { return impl_->identity.name; }
const ArenaAttr& Arena::attr() const { return impl_->identity.attr; }
uint64_t Arena::user_vm_start() const { return impl_->identity.user_vm_start; }
uint64_t Arena::size() const { return impl_->file.size(); }
bool Arena::segv_on_fault() const { return impl_->segv_on_fault(); }
int Arena::memory_fd() const { return impl_->file.fd(); }
int Arena::state_fd() const { return impl_->table.state_file().fd(); }
const ArenaIdentity& Arena::identity() const { return impl_->identity; }
const jit::ArenaView& Arena::view() const { return impl_->arena_view; }

}  // namespace uarena::broker
