// The edits, each of the same length as what it replaces:
//   DATASEC          -> anonymous structure of integers (its sizes and offsets are 0 in an object
//                       file, and the kernel refuses one that holds functions)
//   extern FUNC      -> pointer to its prototype (the kernel knows static and global only, and
//   wants
//                       names for parameters)
//   DECL_TAG of one  -> an integer
//   extern VAR       -> global VAR
//   hidden FUNC      -> static FUNC: outside of the object nobody sees it
#include "tests/support/kernel_btf.h"

#include <bpf/btf.h>
#include <linux/btf.h>

#include <memory>
#include <set>

namespace uarena::testing {
namespace {

struct FreeBtf {
  void operator()(btf* types) const { ::btf__free(types); }
};
using Btf = std::unique_ptr<btf, FreeBtf>;

uint32_t info(uint32_t kind, uint32_t vlen) { return kind << 24 | vlen; }

// libbpf owns the memory and never shares it; only its interface says const.
btf_type* mutable_type(btf* types, uint32_t id) {
  return const_cast<btf_type*>(::btf__type_by_id(types, id));
}

// An integer type to make members of; 0 when the object has none.
uint32_t find_int(btf* types) {
  for (uint32_t id = 1; id < ::btf__type_cnt(types); id++)
    if (btf_is_int(::btf__type_by_id(types, id))) return id;
  return 0;
}

void neutralise_datasec(btf* types, btf_type* section, uint32_t int_id) {
  const uint32_t count = btf_vlen(section);
  const uint32_t bytes = ::btf__type_by_id(types, int_id)->size;
  section->info = info(BTF_KIND_STRUCT, count);
  section->name_off = 0;
  section->size = count * bytes;
  btf_member* members = btf_members(section);
  for (uint32_t i = 0; i < count; i++) members[i] = {0, int_id, i * bytes * 8};
}

void neutralise_decl_tag(btf_type* tag) {
  tag->info = info(BTF_KIND_INT, 0);
  tag->name_off = 0;
  tag->size = 4;
  *reinterpret_cast<uint32_t*>(tag + 1) = 32;  // bits
}

void neutralise(btf* types, const std::set<uint32_t>& hidden) {
  const uint32_t int_id = find_int(types);
  std::set<uint32_t> external;
  for (uint32_t id = 1; id < ::btf__type_cnt(types); id++) {
    btf_type* t = mutable_type(types, id);
    if (btf_is_datasec(t) && int_id != 0) neutralise_datasec(types, t, int_id);
    if (btf_is_var(t) && btf_var(t)->linkage == BTF_VAR_GLOBAL_EXTERN)
      btf_var(t)->linkage = BTF_VAR_GLOBAL_ALLOCATED;
    if (btf_is_func(t) && btf_vlen(t) == BTF_FUNC_EXTERN) {
      t->info = info(BTF_KIND_PTR, 0);
      t->name_off = 0;
      external.insert(id);
    } else if (hidden.contains(id)) {
      t->info = info(BTF_KIND_FUNC, BTF_FUNC_STATIC);
    }
  }
  for (uint32_t id = 1; id < ::btf__type_cnt(types); id++) {
    btf_type* t = mutable_type(types, id);
    if (btf_is_decl_tag(t) && external.contains(t->type)) neutralise_decl_tag(t);
  }
}

std::set<uint32_t> hidden_functions(const jit::Object& object) {
  std::set<uint32_t> hidden;
  for (const auto& program : object.programs)
    for (const auto& subprog : program.subprogs)
      if (!subprog.global && subprog.btf_func_id != 0) hidden.insert(subprog.btf_func_id);
  return hidden;
}

}  // namespace

Result<Fd> load_btf_into_kernel(const jit::Object& object) {
  const Btf types(::btf__new(object.btf.data(), static_cast<uint32_t>(object.btf.size())));
  if (types == nullptr) return fail_errno(errno, "cannot parse the object's BTF");
  neutralise(types.get(), hidden_functions(object));
  if (const int error = ::btf__load_into_kernel(types.get()); error != 0)
    return fail_errno(-error, "the kernel refuses the object's BTF");
  Fd fd(::fcntl(::btf__fd(types.get()), F_DUPFD_CLOEXEC, 3));
  if (!fd) return fail_errno(errno, "cannot keep the BTF's descriptor");
  return fd;
}

KernelMapTypes map_types(const jit::Object& object, const std::string& map) {
  const Btf types(::btf__new(object.btf.data(), static_cast<uint32_t>(object.btf.size())));
  if (types == nullptr) return {};
  const int variable = ::btf__find_by_name_kind(types.get(), map.c_str(), BTF_KIND_VAR);
  if (variable <= 0) return {};
  const btf_type* of_map = ::btf__type_by_id(types.get(), static_cast<uint32_t>(variable));
  const btf_type* definition = ::btf__type_by_id(types.get(), of_map->type);
  if (!btf_is_struct(definition)) return {};
  KernelMapTypes found;
  for (unsigned n = 0; n < btf_vlen(definition); n++) {
    const btf_member& member = btf_members(definition)[n];
    const std::string_view name = ::btf__name_by_offset(types.get(), member.name_off);
    if (name == "key") found.key = ::btf__type_by_id(types.get(), member.type)->type;
    if (name == "value") found.value = ::btf__type_by_id(types.get(), member.type)->type;
  }
  return found;
}

std::optional<uint32_t> kernel_function_id(const std::string& name) {
  static const Btf vmlinux(::btf__load_vmlinux_btf());
  if (vmlinux == nullptr) return std::nullopt;
  const int id = ::btf__find_by_name_kind(vmlinux.get(), name.c_str(), BTF_KIND_FUNC);
  if (id <= 0) return std::nullopt;
  return static_cast<uint32_t>(id);
}

}  // namespace uarena::testing
