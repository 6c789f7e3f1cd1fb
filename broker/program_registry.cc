#include "broker/program_registry.h"

#include "broker/loading.h"

namespace uarena::broker {

std::expected<LoadOutcome, LoadFailure> ProgramRegistry::load(
    std::span<const std::byte> elf_untrusted, const LoadRequest& request, Account& account) {
  Loading loading(arenas_, request, account, timers_);
  Result<void> done = loading.parse(elf_untrusted);
  if (done) done = loading.bind_arena();
  if (done) done = loading.bind_maps();
  if (done) done = loading.build_programs();
  if (done && request.before_commit) request.before_commit();
  if (done) done = loading.install_globals();
  if (!done) return std::unexpected(LoadFailure{done.error(), loading.take_log()});

  LoadOutcome outcome;
  outcome.object = loading.object();
  outcome.arena_created = loading.arena_created();
  const auto programs = static_cast<uint32_t>(loading.programs().size());
  if (auto entered = enter(*outcome.object, request, elf_untrusted, account.uid(), programs,
                           outcome.arena_created);
      !entered)
    return std::unexpected(LoadFailure{entered.error(), loading.take_log()});

  outcome.log = loading.take_log();
  std::lock_guard guard(lock_);
  for (std::shared_ptr<Program>& program : loading.programs()) {
    program->id = outcome.object->file->object().first_program + program->index;
    programs_.emplace(program->id, program);
    outcome.programs.push_back(program);
  }
  outcome.object->loaded = programs;
  loading.commit();
  return outcome;
}

uint64_t ProgramRegistry::next(Ledger::Counter counter, uint64_t count) {
  if (estate_ != nullptr) return estate_->ledger().next(counter, count);
  const std::lock_guard guard(lock_);
  uint64_t& given = given_[static_cast<size_t>(counter)];
  return std::exchange(given, given + count) + 1;
}

// Numbers for the object, its programs and maps; then everything goes into the estate, the object's
// file after what it needs. An arena that this load has made comes last: an object without its
// arena is dropped by a successor, as what is not complete.
Result<void> ProgramRegistry::enter(ObjectState& object, const LoadRequest& request,
                                    std::span<const std::byte> elf, uint32_t owner_uid,
                                    uint32_t programs, bool arena_created) {
  const auto maps = static_cast<uint32_t>(object.maps.size());
  auto file = ObjectFile::create(
      {next(Ledger::Counter::object, 1), object.name, object.arena ? object.arena->id() : 0,
       owner_uid, request.mode == jit::Mode::interpret, programs, maps,
       next(Ledger::Counter::program, programs), next(Ledger::Counter::map, maps)},
      elf);
  if (!file) return std::unexpected(file.error());
  for (uint32_t i = 0; i < maps; ++i) object.maps[i].id = file->object().first_map + i;
  object.file = std::move(*file);
  if (estate_ == nullptr) return {};
  const uint64_t id = object.file->object().id;
  Result<void> entered;
  for (const auto& [map, fd] : object.kept_memory())
    if (entered) entered = estate_->enter({EstateEntry::Kind::map, id, map}, fd);
  if (entered) entered = estate_->enter({EstateEntry::Kind::object, id}, object.file->fd());
  if (entered && arena_created) entered = arenas_.enter(*object.arena);
  if (!entered) strike(object);
  return entered;
}

void ProgramRegistry::strike(const ObjectState& object) {
  if (estate_ == nullptr) return;
  const uint64_t id = object.file->object().id;
  estate_->strike({EstateEntry::Kind::object, id});
  for (const auto& [map, fd] : object.kept_memory())
    estate_->strike({EstateEntry::Kind::map, id, map});
}

Result<void> ProgramRegistry::load_again(ObjectFile file,
                                         const std::function<std::optional<Fd>(size_t map)>& memory,
                                         Account& account) {
  auto elf = file.elf();
  if (!elf) return std::unexpected(elf.error());
  const StoredObject stored = file.object();
  LoadRequest request;
  request.object_name = stored.name;
  request.arena_id = stored.arena_id;
  request.mode = stored.interpret ? jit::Mode::interpret : jit::Mode::compile;
  Loading loading(arenas_, request, account, timers_, memory);
  Result<void> done = loading.parse(*elf);
  if (done) done = loading.bind_arena();
  if (done) done = loading.bind_maps();
  if (done) done = loading.build_programs();
  if (!done) return done;
  const std::shared_ptr<ObjectState> object = loading.object();
  if (loading.programs().size() != stored.programs || object->maps.size() != stored.maps)
    return fail(EINVAL, "object {} has {} programs and {} maps, its file says {} and {}",
                stored.name, loading.programs().size(), object->maps.size(), stored.programs,
                stored.maps);
  for (uint32_t i = 0; i < stored.maps; ++i) object->maps[i].id = stored.first_map + i;
  object->file = std::move(file);
  std::lock_guard guard(lock_);
  for (std::shared_ptr<Program>& program : loading.programs()) {
    if (object->file->unloaded(program->index)) continue;
    program->id = stored.first_program + program->index;
    programs_.emplace(program->id, program);
    ++object->loaded;
  }
  loading.commit();
  if (object->loaded == 0) strike(*object);  // the predecessor died before it came to that
  return {};
}

std::shared_ptr<const Program> ProgramRegistry::find(uint64_t id) const {
  std::lock_guard guard(lock_);
  const auto found = programs_.find(id);
  return found == programs_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<const Program>> ProgramRegistry::list(uint64_t after) const {
  std::lock_guard guard(lock_);
  std::vector<std::shared_ptr<const Program>> found;
  for (auto i = programs_.upper_bound(after); i != programs_.end(); ++i) found.push_back(i->second);
  return found;
}

size_t ProgramRegistry::size() const {
  std::lock_guard guard(lock_);
  return programs_.size();
}

bool ProgramRegistry::unload(uint64_t id) {
  std::shared_ptr<const Program> last;  // declared first: destroyed after the lock is let go
  std::lock_guard guard(lock_);
  const auto found = programs_.find(id);
  if (found == programs_.end()) return false;
  last = std::move(found->second);
  programs_.erase(found);
  last->unloaded = true;
  last->object->file->set_unloaded(last->index);
  if (--last->object->loaded == 0) strike(*last->object);
  return true;
}

}  // namespace uarena::broker
