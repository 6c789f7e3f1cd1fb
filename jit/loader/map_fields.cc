// A depth-first walk over the members. A type that turned out to hold no field is not entered
// again, and one that holds a field can be met only a few times before there is one field too many:
// the walk takes time in proportion to the types, whatever their shape.
#include "jit/loader/map_fields.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace uarena::jit {
namespace {

using Kind = MapField::Kind;

// Structures inside structures, and arrays of arrays; the kernel looks as deep.
constexpr int kMaxDepth = 32;

struct FieldType {
  std::string_view name;
  Kind kind;
  uint32_t size;
  uint32_t align;
};
// Sizes of the kernel's own structures: one that is named alike but has another size is not meant.
constexpr FieldType kFieldTypes[] = {
    {"bpf_spin_lock", Kind::spin_lock, 4, 4},
    {"bpf_res_spin_lock", Kind::res_spin_lock, 4, 4},
    {"bpf_timer", Kind::timer, 16, 8},
};

class FieldFinder {
 public:
  explicit FieldFinder(const BtfView& btf) : btf_(btf) {}

  Result<void> walk(uint32_t id, uint64_t offset, int depth = 0) {
    uint64_t elements = 1;
    const btf_type* t = element_of(id, elements);
    if (t == nullptr || elements == 0) return {};
    if (depth == kMaxDepth || btf_is_array(t))
      return fail(Why::rejected, E2BIG, "has a type of more than {} levels", kMaxDepth);
    if (!btf_is_struct(t) && !btf_is_union(t)) return {};
    if (const FieldType* field = field_type(t)) return add(*field, offset, elements);
    if (!plain_.insert(t).second) return {};
    const size_t before = fields_.size();
    if (auto done = walk_members(t, offset, depth); !done) return done;
    if (fields_.size() == before) return {};
    plain_.erase(t);
    if (elements > 1)
      return fail(Why::rejected, E2BIG,
                  "has an array of {} of '{}': at most one lock and one timer can be in a value",
                  elements, btf_.name(t->name_off));
    return {};
  }

  Result<std::vector<MapField>> take() {
    std::ranges::sort(fields_, {}, &MapField::offset);
    if (has(Kind::spin_lock) && has(Kind::res_spin_lock))
      return fail(Why::rejected, EINVAL, "has a bpf_spin_lock and a bpf_res_spin_lock");
    return std::move(fields_);
  }

 private:
  // The type behind typedefs and arrays; `elements` is multiplied by the arrays' sizes. Only
  // whether there is none, one or more than one matters, so it does not grow further.
  const btf_type* element_of(uint32_t id, uint64_t& elements) const {
    const btf_type* t = btf_.resolved(id);
    for (int i = 0; i < kMaxDepth && t != nullptr && btf_is_array(t); i++) {
      elements = std::min<uint64_t>(elements * btf_array(t)->nelems, UINT32_MAX);
      t = btf_.resolved(btf_array(t)->type);
    }
    return t;
  }

  const FieldType* field_type(const btf_type* t) const {
    if (!btf_is_struct(t)) return nullptr;
    const std::string_view name = btf_.string(t->name_off);
    for (const FieldType& type : kFieldTypes)
      if (name == type.name && t->size == type.size) return &type;
    return nullptr;
  }

  Result<void> walk_members(const btf_type* t, uint64_t offset, int depth) {
    const btf_member* members = btf_members(t);
    for (unsigned i = 0; i < btf_vlen(t); i++) {
      const uint64_t bits = btf_member_bit_offset(t, i);
      if (bits % 8 != 0 || btf_member_bitfield_size(t, i) != 0) continue;
      if (auto done = walk(members[i].type, offset + bits / 8, depth + 1); !done) return done;
    }
    return {};
  }

  bool has(Kind kind) const {
    return std::ranges::find(fields_, kind, &MapField::kind) != fields_.end();
  }

  Result<void> add(const FieldType& type, uint64_t offset, uint64_t elements) {
    if (elements > 1 || has(type.kind))
      return fail(Why::rejected, E2BIG, "has more than one {}: allowed is one", type.name);
    if (offset % type.align != 0 || offset > UINT32_MAX)
      return fail(Why::rejected, EINVAL, "has a {} at offset {}: expected a multiple of {}",
                  type.name, offset, type.align);
    fields_.push_back({type.kind, static_cast<uint32_t>(offset), type.size});
    return {};
  }

  const BtfView& btf_;
  std::vector<MapField> fields_;
  std::unordered_set<const btf_type*> plain_;
};

}  // namespace

Result<std::vector<MapField>> fields_of_type(const BtfView& btf, uint32_t type) {
  FieldFinder finder(btf);
  if (auto done = finder.walk(type, 0); !done) return std::unexpected(done.error());
  return finder.take();
}

Result<std::vector<MapField>> fields_of_section(const BtfView& btf, const ElfFile& elf,
                                                const ElfSection& section) {
  const btf_type* variables = btf.datasec(section.name);
  if (variables == nullptr) return std::vector<MapField>();
  // The types say where local variables are; the places of global ones are in the symbols.
  std::unordered_map<std::string_view, uint64_t> places;
  for (const ElfSymbol& symbol : elf.symbols)
    if (symbol.defined && symbol.section == elf.index_of(section) && !symbol.local)
      places.emplace(symbol.name, symbol.value);
  FieldFinder finder(btf);
  const btf_var_secinfo* infos = btf_var_secinfos(variables);
  for (unsigned i = 0; i < btf_vlen(variables); i++) {
    const btf_type* variable = btf.type(infos[i].type);
    if (variable == nullptr || !btf_is_var(variable)) continue;
    const auto place = places.find(btf.string(variable->name_off));
    const bool global = btf_var(variable)->linkage != BTF_VAR_STATIC;
    if (global && place == places.end()) continue;
    const uint64_t offset = global ? place->second : infos[i].offset;
    if (auto done = finder.walk(variable->type, offset); !done)
      return std::unexpected(done.error());
  }
  auto fields = finder.take();
  if (fields && !fields->empty() &&
      fields->back().offset + uint64_t{fields->back().size} > section.size)
    return fail(Why::rejected, EINVAL, "has a lock or timer behind its end ({} bytes)",
                section.size);
  return fields;
}

}  // namespace uarena::jit
