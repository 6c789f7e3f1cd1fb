// The order is libbpf's: maps first, the arena mapped before any program is loaded (its address
// must be known then, K67), values filled in, then types and programs.
#include "tests/support/kernel_loader.h"

#include <linux/bpf.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "tests/support/kernel_btf.h"

namespace uarena::testing {
namespace {

constexpr size_t kLogBytes = size_t{16} << 20;
constexpr uint32_t kSleepable = uint32_t{1} << 4;  // BPF_F_SLEEPABLE: the kfuncs want it (K42)
constexpr uint32_t kProgTypeSyscall = 31;          // BPF_PROG_TYPE_SYSCALL

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

KernelMapAttr attr_of(const jit::MapDef& def, const KernelLoadOptions& options) {
  KernelMapAttr attr{def.type,      def.key_size,  def.value_size, def.max_entries,
                     def.map_flags, def.map_extra, def.name};
  if (def.kind != jit::MapKind::arena) return attr;
  attr.max_entries = options.arena_pages.value_or(attr.max_entries);
  attr.map_flags = options.arena_flags.value_or(attr.map_flags);
  attr.map_extra = options.arena_map_extra.value_or(attr.map_extra);
  return attr;
}

Result<KernelMap> make_map(const jit::MapDef& def, const KernelLoadOptions& options) {
  const KernelMapAttr attr = attr_of(def, options);
  KernelMap map;
  map.name = def.name;
  map.kind = def.kind;
  auto fd = create_kernel_map(attr);
  if (!fd) return std::unexpected(fd.error());
  map.fd = std::move(*fd);
  Result<void> done;
  if (def.kind == jit::MapKind::arena) {
    done = map_arena(def, attr, options.arena_address, map);
  } else if (def.kind != jit::MapKind::array && def.kind != jit::MapKind::other) {
    done = fill_internal(def, map);
  }
  if (!done) return std::unexpected(done.error());
  return map;
}

// The instructions with the kernel's numbers in place of indices.
Result<std::vector<jit::Insn>> bind(const jit::ProgramDef& program, const jit::Object& object,
                                    const std::vector<KernelMap>& maps) {
  std::vector<jit::Insn> insns = program.insns;
  for (size_t i = 0; i < insns.size(); i++) {
    jit::Insn& insn = insns[i];
    if (jit::is_kfunc_call(insn)) {
      const std::string& name = object.kfuncs[static_cast<size_t>(insn.imm)].name;
      const auto id = kernel_function_id(name);
      if (!id) return fail(ENOENT, "the kernel has no function '{}'", name);
      insn.imm = static_cast<int32_t>(*id);
    } else if (jit::is_ld_imm64(insn)) {
      if (insn.src == jit::kPseudoMapFd || insn.src == jit::kPseudoMapValue)
        insn.imm = maps[static_cast<size_t>(insn.imm)].fd.get();
      i++;
    }
  }
  return insns;
}

std::vector<bpf_func_info> func_infos(const jit::ProgramDef& program) {
  std::vector<bpf_func_info> infos;
  for (const auto& subprog : program.subprogs) {
    if (subprog.btf_func_id == 0) return {};
    infos.push_back({subprog.start, subprog.btf_func_id});
  }
  return infos;
}

Result<KernelProgram> load_program(const jit::ProgramDef& program, const jit::Object& object,
                                   const std::vector<KernelMap>& maps, int btf, std::string* log) {
  auto insns = bind(program, object, maps);
  if (!insns) return std::unexpected(insns.error());
  const auto infos = func_infos(program);
  bpf_attr attr{};
  attr.prog_type = kProgTypeSyscall;
  attr.prog_flags = kSleepable;
  attr.insns = pointer(insns->data());
  attr.insn_cnt = static_cast<uint32_t>(insns->size());
  attr.license = pointer(object.license.c_str());
  attr.prog_btf_fd = static_cast<uint32_t>(btf);
  attr.func_info = pointer(infos.data());
  attr.func_info_cnt = static_cast<uint32_t>(infos.size());
  attr.func_info_rec_size = sizeof(bpf_func_info);
  set_name(attr.prog_name, program.name);
  if (Fd fd(static_cast<int>(bpf(BPF_PROG_LOAD, attr))); fd)
    return KernelProgram(program.name, std::move(fd));
  const int error = errno;
  // Once more for the log: writing it costs time that a program which loads need not pay.
  std::vector<char> text(kLogBytes);
  attr.log_level = 1;
  attr.log_buf = pointer(text.data());
  attr.log_size = static_cast<uint32_t>(text.size());
  const Fd again(static_cast<int>(bpf(BPF_PROG_LOAD, attr)));
  if (log != nullptr) *log = text.data();
  return fail_errno(error, "the kernel refuses program '{}'", program.name);
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

Result<KernelObject> KernelObject::load(const jit::Object& object, const KernelLoadOptions& options,
                                        std::string* log) {
  KernelObject loaded;
  loaded.arena_ = object.arena;
  for (const auto& def : object.maps) {
    auto map = make_map(def, options);
    if (!map) return std::unexpected(map.error());
    loaded.maps_.push_back(std::move(*map));
  }
  auto btf = load_btf_into_kernel(object);
  if (!btf) return std::unexpected(btf.error());
  for (const auto& def : object.programs) {
    if (!wanted(def, options)) continue;
    auto program = load_program(def, object, loaded.maps_, btf->get(), log);
    if (!program) return std::unexpected(program.error());
    loaded.programs_.push_back(std::move(*program));
  }
  return loaded;
}

const KernelProgram* KernelObject::program(std::string_view name) const {
  return find_named(programs_, name, &KernelProgram::name);
}

const KernelMap* KernelObject::map(std::string_view name) const {
  return find_named(maps_, name, &KernelMap::name);
}

}  // namespace uarena::testing
