// The order is libbpf's: maps first, the arena mapped before any program is loaded (its address
// must be known then, K67), values filled in, then types and programs.
#include "tests/support/kernel_loader.h"

#include <linux/bpf.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "tests/support/kernel_btf.h"
#include "tests/support/kernel_program.h"

namespace uarena::testing {
namespace {

long bpf(int command, bpf_attr& attr) { return ::syscall(SYS_bpf, command, &attr, sizeof attr); }

uint64_t pointer(const void* p) { return reinterpret_cast<uint64_t>(p); }

// The kernel takes letters, digits, '_' and '.', at most 15.
void set_name(char (&into)[BPF_OBJ_NAME_LEN], std::string_view name) {
  name = name.substr(0, BPF_OBJ_NAME_LEN - 1);
  std::ranges::copy(name, into);
}

Result<void> update_element(int map, const void* value) {
  bpf_attr attr{};
  const uint32_t key = 0;
  attr.map_fd = static_cast<uint32_t>(map);
  attr.key = pointer(&key);
  attr.value = pointer(value);
  if (bpf(BPF_MAP_UPDATE_ELEM, attr) != 0) return fail_errno(errno, "BPF_MAP_UPDATE_ELEM");
  return {};
}

Result<void> freeze(int map) {
  bpf_attr attr{};
  attr.map_fd = static_cast<uint32_t>(map);
  if (bpf(BPF_MAP_FREEZE, attr) != 0) return fail_errno(errno, "BPF_MAP_FREEZE");
  return {};
}

// An internal map: its bytes, then a view of them.
Result<void> fill_internal(const jit::MapDef& def, KernelMap& map) {
  if (auto done = update_element(map.fd.get(), def.initial.data()); !done) return done;
  const bool read_only = jit::is_read_only(def.kind);
  if (read_only)
    if (auto done = freeze(map.fd.get()); !done) return done;
  auto memory = MemoryMap::create(nullptr, round_up_to_page(def.value_size),
                                  read_only ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED,
                                  map.fd.get(), 0, "an internal map");
  if (!memory) return std::unexpected(memory.error());
  map.memory = std::move(*memory);
  map.size = def.value_size;
  return {};
}

// The arena: where it was asked for, its globals at offset 0 (K80). A page in which there are no
// globals is not touched.
Result<void> map_arena(const jit::MapDef& def, const KernelMapAttr& attr, uint64_t wanted,
                       KernelMap& map) {
  const uint64_t address = attr.map_extra != 0 ? attr.map_extra : wanted;
  map.size = uint64_t{attr.max_entries} * kPageSize;
  auto memory = MemoryMap::create(
      reinterpret_cast<void*>(address), map.size, PROT_READ | PROT_WRITE,
      MAP_SHARED | (address != 0 ? MAP_FIXED_NOREPLACE : 0), map.fd.get(), 0, "the kernel's arena");
  if (!memory) return std::unexpected(memory.error());
  map.memory = std::move(*memory);
  std::ranges::copy(def.initial, map.memory.data());
  return {};
}

KernelMapAttr attr_of(const jit::Object& object, const jit::MapDef& def, int btf,
                      const KernelLoadOptions& options) {
  KernelMapAttr attr{def.type,        def.key_size,  def.value_size,
                     def.max_entries, def.map_flags, def.map_extra,
                     def.name,        btf,           {}};
  if (def.kind != jit::MapKind::arena) {
    attr.types = map_types(object, def.name);
    return attr;
  }
  attr.max_entries = options.arena_pages.value_or(attr.max_entries);
  attr.map_flags = options.arena_flags.value_or(attr.map_flags);
  attr.map_extra = options.arena_map_extra.value_or(attr.map_extra);
  return attr;
}

bool is_internal(jit::MapKind kind) {
  using enum jit::MapKind;
  return kind == data || kind == bss || kind == rodata || kind == kconfig;
}

Result<KernelMap> make_map(const jit::MapDef& def, const KernelMapAttr& attr,
                           const KernelLoadOptions& options) {
  KernelMap map;
  map.name = def.name;
  map.kind = def.kind;
  auto fd = create_kernel_map(attr);
  if (!fd) return std::unexpected(fd.error());
  map.fd = std::move(*fd);
  Result<void> done;
  if (def.kind == jit::MapKind::arena) {
    if (options.map_arenas) done = map_arena(def, attr, options.arena_address, map);
  } else if (is_internal(def.kind)) {
    done = fill_internal(def, map);
  }
  if (!done) return std::unexpected(done.error());
  return map;
}

Result<KernelProgram> load_program(const KernelQuestion& question, std::string* log) {
  auto answer = ask_kernel(question);
  if (!answer) return std::unexpected(answer.error());
  const std::string& name = question.program->name;
  if (answer->program) return KernelProgram(name, std::move(answer->program));
  // Once more for the log: writing it costs time that a program which loads need not pay.
  KernelQuestion again = question;
  again.log_level = 1;
  auto told = ask_kernel(again);
  if (log != nullptr && told) *log = told->log;
  return fail_errno(answer->error, "the kernel refuses program '{}'", name);
}

bool wanted(const jit::ProgramDef& program, const KernelLoadOptions& options) {
  if (options.programs.empty()) return !program.optional;
  return std::ranges::find(options.programs, program.name) != options.programs.end();
}

template <typename Items>
auto* find_named(Items& items, std::string_view name, auto name_of) {
  const auto found = std::ranges::find(items, name, name_of);
  return found == items.end() ? nullptr : &*found;
}

}  // namespace

std::optional<std::string> kernel_arena_unavailable() {
  KernelMapAttr attr;
  attr.max_entries = 1;
  if (const auto fd = create_kernel_map(attr); !fd)
    return "the kernel gives no bpf_arena: " + fd.error().message;
  if (!kernel_function_id("bpf_arena_alloc_pages"))
    return "the kernel's BTF has no bpf_arena_alloc_pages (/sys/kernel/btf/vmlinux)";
  return std::nullopt;
}

Result<Fd> create_kernel_map(const KernelMapAttr& attr) {
  bpf_attr raw{};
  raw.map_type = attr.map_type;
  raw.key_size = attr.key_size;
  raw.value_size = attr.value_size;
  raw.max_entries = attr.max_entries;
  raw.map_flags = attr.map_flags;
  raw.map_extra = attr.map_extra;
  if (attr.types.key != 0 && attr.types.value != 0) {
    raw.btf_fd = static_cast<uint32_t>(attr.btf);
    raw.btf_key_type_id = attr.types.key;
    raw.btf_value_type_id = attr.types.value;
  }
  set_name(raw.map_name, attr.name);
  Fd fd(static_cast<int>(bpf(BPF_MAP_CREATE, raw)));
  if (!fd) return fail_errno(errno, "BPF_MAP_CREATE of '{}'", attr.name);
  return fd;
}

Result<int32_t> KernelProgram::run(std::span<std::byte> context) const {
  bpf_attr attr{};
  attr.test.prog_fd = static_cast<uint32_t>(fd());
  attr.test.ctx_in = pointer(context.data());
  attr.test.ctx_size_in = static_cast<uint32_t>(context.size());
  if (bpf(BPF_PROG_TEST_RUN, attr) != 0)
    return fail_errno(errno, "BPF_PROG_TEST_RUN of '{}'", name_);
  return static_cast<int32_t>(attr.test.retval);
}

Result<KernelObject> KernelObject::make_maps(const jit::Object& object,
                                             const KernelLoadOptions& options) {
  KernelObject made;
  made.arena_ = object.arena;
  auto btf = load_btf_into_kernel(object);
  if (!btf) return std::unexpected(btf.error());
  made.btf_ = std::move(*btf);
  for (const auto& def : object.maps) {
    auto map = make_map(def, attr_of(object, def, made.btf_.get(), options), options);
    if (!map) return std::unexpected(map.error());
    made.maps_.push_back(std::move(*map));
  }
  return made;
}

Result<KernelObject> KernelObject::load(const jit::Object& object, const KernelLoadOptions& options,
                                        std::string* log) {
  auto loaded = make_maps(object, options);
  if (!loaded) return loaded;
  KernelQuestion question{&object, nullptr, loaded->map_fds(), loaded->btf_.get()};
  for (const auto& def : object.programs) {
    if (!wanted(def, options)) continue;
    question.program = &def;
    auto program = load_program(question, log);
    if (!program) return std::unexpected(program.error());
    loaded->programs_.push_back(std::move(*program));
  }
  return loaded;
}

std::vector<int> KernelObject::map_fds() const {
  std::vector<int> fds;
  for (const KernelMap& map : maps_) fds.push_back(map.fd.get());
  return fds;
}

const KernelProgram* KernelObject::program(std::string_view name) const {
  return find_named(programs_, name, &KernelProgram::name);
}

const KernelMap* KernelObject::map(std::string_view name) const {
  return find_named(maps_, name, &KernelMap::name);
}

}  // namespace uarena::testing
