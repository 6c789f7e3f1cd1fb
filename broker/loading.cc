#include "broker/loading.h"

#include <unistd.h>

#include "broker/kfuncs.h"
#include "ipc/base/log.h"

namespace uarena::broker {

namespace {

// So many that the answer of a load still fits one record.
constexpr size_t kMaxPrograms = 256;
constexpr size_t kMaxMaps = 256;

std::unexpected<Error> as_rejection(Error error) {
  if (error.why == Why::general) error.why = Why::rejected;
  return std::unexpected(std::move(error));
}

}  // namespace

Loading::~Loading() {
  if (committed_ || created_arena_ == 0) return;
  programs_.clear();
  object_.reset();
  use_.reset();
  if (auto removed = arenas_.remove(created_arena_); !removed)
    log(LogLevel::warning, "arena.left_behind",
        {{"id", created_arena_},
         {"errno", removed.error().code},
         {"error", removed.error().message}});
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
  auto functions = resolve_functions(parsed_);
  if (!functions) return std::unexpected(functions.error());
  functions_ = std::move(*functions);
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
    // What a predecessor has bound stays bound.
    if (!memory_)
      if (auto allowed = check_access(object_->arena->access(), request_.who, Right::load,
                                      object_->arena->name());
          !allowed)
        return allowed;
  } else {
    const ArenaAttr attr{def.type,        def.key_size,  def.value_size,
                         def.max_entries, def.map_flags, def.map_extra};
    auto created = arenas_.create_unentered(def.name, attr, account_, {.gid = request_.who.gid});
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
    bound.key_size = def.key_size;
    bound.value_size = def.value_size;
    bound.max_entries = def.max_entries;
    bound.fields = def.fields;
    switch (def.kind) {
      case jit::MapKind::arena:
        bound.owner = object_->arena.get();
        break;
      case jit::MapKind::data:
      case jit::MapKind::bss:
      case jit::MapKind::rodata:
      case jit::MapKind::kconfig:
      case jit::MapKind::array:
      case jit::MapKind::percpu_array:
      case jit::MapKind::hash:
      case jit::MapKind::lru_hash:
      case jit::MapKind::ringbuf:
        if (auto opened = open_map(def, &bound); !opened) return opened;
        break;
      case jit::MapKind::other:
        return fail(Why::rejected, EOPNOTSUPP,
                    "map {} has type {}: offered are arenas, arrays, per-CPU arrays, hashes, LRU "
                    "hashes, ring buffers and global variables",
                    def.name, def.type);
    }
    binding_.maps.push_back(&bound);
  }
  binding_.functions = &functions_;
  return {};
}

// The memory, and on it what the functions work with.
Result<void> Loading::open_map(const jit::MapDef& def, jit::BoundMap* bound) {
  if (auto charged = charge_map(def); !charged) return charged;
  auto made = map_memory(def);
  if (!made) return std::unexpected(made.error());
  const MapMemory& memory = object_->memory.emplace_back(std::move(*made));
  bound->value = memory.data();
  bound->value_bytes = memory.size();
  bound->read_only = jit::is_read_only(def.kind);
  if (def.kind == jit::MapKind::ringbuf) {
    bound->ring = &object_->rings.emplace_back(def, memory.data());
  } else if (jit::has_elements(def.kind)) {
    auto map =
        jit::open_map(def, {memory.data(), memory.size()}, cpu_count(), !memory.left_by_another());
    map->tell(object_->timers, def);
    bound->map = object_->elements.emplace_back(std::move(map)).get();
  } else if (memory.left_by_another()) {
    jit::clear_fields(memory.data(), def);
  }
  return {};
}

// In full, though memory is used where a program writes. What a predecessor has left is there
// already.
Result<void> Loading::charge_map(const jit::MapDef& def) {
  if (map_file_bytes(def) > kMaxMapBytes) return {};  // it won't be made
  const uint64_t pages = map_file_bytes(def) >> kPageShift;
  const uint64_t memory = jit::has_elements(def.kind) ? pages + pages / 2 : pages;
  if (memory_) {
    object_->memory_pages.grow_anyway(pages);
    object_->broker_memory.grow_anyway(memory);
    return {};
  }
  if (auto charged = object_->memory_pages.grow(pages); !charged) return charged;
  return object_->broker_memory.grow(memory);
}

// Read-only bytes come from the object, always.
Result<MapMemory> Loading::map_memory(const jit::MapDef& def) {
  if (memory_ && !jit::is_read_only(def.kind)) {
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
  input.functions = &functions_;
  input.log_level = request_.log_level;
  input.deadline = deadline_;
  input.cancelled = request_.cancelled;
  if (object_->arena) {
    input.user_vm_start = object_->arena->user_vm_start();
    input.arena_size = object_->arena->size();
  }
  std::string log;
  auto verified = jit::verify(input, &log);
  log_ += verified ? log : verified.error().log;
  if (!verified) {
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
  program->type = jit::program_type_of(def.section).value_or(jit::ProgramType::syscall);
  program->owner_uid = account_.uid();
  program->account = &account_;
  program->insns = static_cast<uint32_t>(fixed.insns().size());
  program->ctx_size = fixed.ctx_size();
  program->object = object_;
  if (object_->arena) program->use = arenas_.use(object_->arena, ArenaUse::Kind::program);
  program->charge = std::move(*charge);
  auto executable = jit::make_executable(std::move(fixed), request_.mode, constants());
  if (!executable) return std::unexpected(executable.error());
  program->executable = std::move(*executable);
  return program;
}

// Members of the group that may load are not trusted with more than that.
jit::Constants Loading::constants() const {
  const bool trusted = account_.uid() == 0 || account_.uid() == ::geteuid();
  return trusted ? jit::Constants::plain : jit::Constants::blinded;
}

Result<void> Loading::build_programs() {
  for (size_t i = 0; i < parsed_.programs.size(); ++i) {
    auto program = build_program(i);
    if (!program) return std::unexpected(program.error());
    object_->programs.push_back(*program);
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

}  // namespace uarena::broker
