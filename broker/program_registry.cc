#include "broker/program_registry.h"

#include <algorithm>
#include <atomic>

#include "broker/kfuncs.h"
#include "ipc/base/log.h"
#include "jit/object.h"
#include "jit/program.h"

namespace uarena::broker {
namespace {

// Everything that one load builds up, step by step. Until commit() it can be dropped as it is: an
// arena that was created for the object is removed again.
class Loading {
 public:
  // Where the bytes of a map come from that a predecessor has left; none: they are made.
  using Memory = std::function<std::optional<Fd>(size_t map)>;

  Loading(ArenaRegistry& arenas, const LoadRequest& request, Account& account, Memory memory = {})
      : arenas_(arenas), request_(request), account_(account), memory_(std::move(memory)) {}
  Loading(const Loading&) = delete;
  Loading& operator=(const Loading&) = delete;
  ~Loading();

  Result<void> parse(std::span<const std::byte> elf_untrusted);
  Result<void> bind_arena();
  Result<void> bind_maps();
  Result<void> build_programs();
  Result<void> install_globals();
  void commit() { committed_ = true; }

  const std::shared_ptr<ObjectState>& object() const { return object_; }
  std::vector<std::shared_ptr<Program>>& programs() { return programs_; }
  bool arena_created() const { return created_arena_ != 0; }
  std::string take_log() { return std::move(log_); }

 private:
  Result<MapMemory> map_memory(const jit::MapDef& def);
  Result<std::shared_ptr<Program>> build_program(size_t index);

  ArenaRegistry& arenas_;
  const LoadRequest& request_;
  const std::chrono::steady_clock::time_point deadline_ =
      std::chrono::steady_clock::now() + kLoadLimit;
  Account& account_;
  const Memory memory_;
  jit::Object parsed_;
  jit::KfuncTable kfuncs_;
  jit::Binding binding_;
  std::shared_ptr<ObjectState> object_ = std::make_shared<ObjectState>();
  ArenaUse use_;  // ours, until each program has its own
  std::vector<std::shared_ptr<Program>> programs_;
  std::string log_;
  uint64_t created_arena_ = 0;
  bool committed_ = false;
};

Loading::~Loading() {
  if (committed_ || created_arena_ == 0) return;
  programs_.clear();
  object_.reset();
  use_.reset();
  if (auto removed = arenas_.remove(created_arena_); !removed)
    log(LogLevel::warning, "arena.left_behind",
        {{"id", created_arena_}, {"error", removed.error().message}});
}

// So many that the answer of a load still fits one record.
constexpr size_t kMaxPrograms = 256;
constexpr size_t kMaxMaps = 256;

std::unexpected<Error> as_rejection(Error error) {
  if (error.why == Why::general) error.why = Why::rejected;
  return std::unexpected(std::move(error));
}

// From bytes to instructions, maps and names, all of them untrusted until here.
Result<void> Loading::parse(std::span<const std::byte> elf_untrusted) {
  auto object = jit::load_object(elf_untrusted);
  if (!object) return as_rejection(object.error());
  parsed_ = std::move(*object);
  if (parsed_.programs.empty())
    return fail(Why::rejected, EINVAL, "the object has no program: a function in SEC(\"syscall\")");
  if (parsed_.programs.size() > kMaxPrograms || parsed_.maps.size() > kMaxMaps)
    return fail(Why::rejected, E2BIG,
                "the object has {} programs and {} maps, allowed are {} and {}",
                parsed_.programs.size(), parsed_.maps.size(), kMaxPrograms, kMaxMaps);
  auto kfuncs = resolve_kfuncs(parsed_);
  if (!kfuncs) return std::unexpected(kfuncs.error());
  kfuncs_ = std::move(*kfuncs);
  object_->name = request_.object_name;
  return {};
}

// The arena that the request names, or the one that .maps describes, created under the map's name.
Result<void> Loading::bind_arena() {
  if (!parsed_.arena) {
    if (request_.arena_id != 0)
      return fail(EINVAL, "an arena was named, but the object defines no arena map to bind to it");
    return {};
  }
  const jit::MapDef& def = parsed_.maps[*parsed_.arena];
  if (request_.arena_id != 0) {
    object_->arena = arenas_.find(request_.arena_id);
    if (!object_->arena)
      return fail(Why::not_found, ENOENT, "there is no arena with id {}", request_.arena_id);
  } else {
    const ArenaAttr attr{def.type,        def.key_size,  def.value_size,
                         def.max_entries, def.map_flags, def.map_extra};
    auto created = arenas_.create_unentered(def.name, attr, account_);
    if (!created && created.error().code == EEXIST)
      return fail(EEXIST,
                  "the object's arena map is called {0}, and an arena of that name exists: name it "
                  "(--arena {0}) to share it",
                  def.name);
    if (!created) return std::unexpected(created.error());
    object_->arena = *created;
    created_arena_ = object_->arena->id();
  }
  use_ = arenas_.use(object_->arena, ArenaUse::Kind::program);
  if (!use_)
    return fail(Why::not_found, ENOENT, "arena {} has just been deleted", object_->arena->name());
  if (def.initial.size() > object_->arena->size())
    return fail(Why::rejected, E2BIG,
                "the object's arena globals take {} bytes, the arena {} has {}", def.initial.size(),
                object_->arena->name(), object_->arena->size());
  binding_.arena = object_->arena->view();
  return {};
}

// Memory for .data, .bss and .rodata; the arena map is a name for the arena.
Result<void> Loading::bind_maps() {
  for (const jit::MapDef& def : parsed_.maps) {
    object_->maps.push_back(
        {0, def.name, def.type, def.value_size, def.max_entries, def.map_flags});
    jit::BoundMap& bound = object_->bound.emplace_back();
    bound.kind = def.kind;
    bound.name = def.name;
    bound.value_size = def.value_size;
    bound.max_entries = def.max_entries;
    switch (def.kind) {
      case jit::MapKind::arena:
        bound.owner = object_->arena.get();
        break;
      case jit::MapKind::data:
      case jit::MapKind::bss:
      case jit::MapKind::rodata: {
        auto memory = map_memory(def);
        if (!memory) return std::unexpected(memory.error());
        bound.value = object_->memory.emplace_back(std::move(*memory)).data();
        bound.read_only = def.kind == jit::MapKind::rodata;
        break;
      }
      case jit::MapKind::array:
      case jit::MapKind::other:
        return fail(
            Why::rejected, EOPNOTSUPP,
            "map {} has type {}: only arena maps (type {}) and global variables are offered",
            def.name, def.type, kBpfMapTypeArena);
    }
    binding_.maps.push_back(&bound);
  }
  binding_.kfuncs = &kfuncs_;
  return {};
}

// Read-only bytes come from the object, always.
Result<MapMemory> Loading::map_memory(const jit::MapDef& def) {
  if (memory_ && def.kind != jit::MapKind::rodata) {
    auto left = memory_(object_->bound.size() - 1);
    if (!left) return fail(EINVAL, "the bytes of {} are not in the estate", def.name);
    return MapMemory::open_untrusted(def, std::move(*left));
  }
  return MapMemory::create(def);
}

// load -> verify -> fix up -> compile, each a type that only the step before can make.
Result<std::shared_ptr<Program>> Loading::build_program(size_t index) {
  const jit::ProgramDef& def = parsed_.programs[index];
  jit::VerifierInput input;
  input.object = &parsed_;
  input.program = index;
  input.kfuncs = &kfuncs_;
  input.log_level = request_.log_level;
  input.deadline = deadline_;
  input.cancelled = request_.cancelled;
  if (object_->arena) {
    input.user_vm_start = object_->arena->user_vm_start();
    input.arena_size = object_->arena->size();
  }
  auto verified = jit::verify(input, &log_);
  if (!verified) {
    log_ += verified.error().log;
    Error error = verified.error().error;
    error.message = fmt::format("program {}: {}", def.name, error.message);
    return as_rejection(std::move(error));
  }
  auto charge = account_.charge(Resource::programs, 1);
  if (!charge) return std::unexpected(charge.error());

  jit::FixedProgram fixed = jit::fix_up(*verified, binding_);
  auto program = std::make_shared<Program>();
  program->index = static_cast<uint32_t>(index);
  program->name = def.name;
  program->section = def.section;
  program->owner_uid = account_.uid();
  program->insns = static_cast<uint32_t>(fixed.insns().size());
  program->ctx_size = fixed.ctx_size();
  program->object = object_;
  if (object_->arena) program->use = arenas_.use(object_->arena, ArenaUse::Kind::program);
  program->charge = std::move(*charge);
  auto executable = jit::make_executable(std::move(fixed), request_.mode);
  if (!executable) return std::unexpected(executable.error());
  program->executable = std::move(*executable);
  return program;
}

Result<void> Loading::build_programs() {
  for (size_t i = 0; i < parsed_.programs.size(); ++i) {
    auto program = build_program(i);
    if (!program) return std::unexpected(program.error());
    programs_.push_back(std::move(*program));
  }
  return {};
}

// The initial bytes of .addr_space.1 go to the start of the arena. In an arena that others use
// already they are left as they stand there, as libbpf leaves those of a reused map (K83).
Result<void> Loading::install_globals() {
  if (!object_->arena) return {};
  const jit::MapDef& def = parsed_.maps[*parsed_.arena];
  if (def.initial.empty()) return {};
  auto installed = object_->arena->install_globals(0, def.initial);
  if (installed || installed.error().code != EBUSY || created_arena_ != 0) return installed;
  log_ += fmt::format(
      "note: the object's {} bytes of arena globals lie at the start of arena {}, where pages are "
      "taken: what is there was left as it is\n",
      def.initial.size(), object_->arena->name());
  return {};
}

}  // namespace

std::expected<LoadOutcome, LoadFailure> ProgramRegistry::load(
    std::span<const std::byte> elf_untrusted, const LoadRequest& request, Account& account) {
  Loading loading(arenas_, request, account);
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
  Loading loading(arenas_, request, account, memory);
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
  last->object->file->set_unloaded(last->index);
  if (--last->object->loaded == 0) strike(*last->object);
  return true;
}

}  // namespace uarena::broker
