// One pass over the members of each map's structure; see the header for what a member looks like.
#include "jit/loader/map_defs.h"

#include <linux/bpf.h>

#include <map>
#include <optional>

#include "ipc/base/page.h"
#include "jit/loader/map_fields.h"
#include "jit/loader/map_limits.h"

namespace uarena::jit {
namespace {

constexpr std::string_view kMapsSection = ".maps";
// More maps than a program can name in any sensible object; bounds the work below.
constexpr size_t kMaxMaps = 256;

MapKind kind_of(uint32_t type) {
  switch (type) {
    case kBpfMapTypeArena:
      return MapKind::arena;
    case BPF_MAP_TYPE_ARRAY:
      return MapKind::array;
    case BPF_MAP_TYPE_PERCPU_ARRAY:
      return MapKind::percpu_array;
    case BPF_MAP_TYPE_HASH:
      return MapKind::hash;
    case BPF_MAP_TYPE_LRU_HASH:
      return MapKind::lru_hash;
    case BPF_MAP_TYPE_RINGBUF:
      return MapKind::ringbuf;
    default:
      return MapKind::other;
  }
}

// Which maps can have a field: those whose elements stay where they are until they are deleted.
bool may_hold(MapKind map, MapField::Kind field) {
  if (map == MapKind::array || map == MapKind::hash) return true;
  return map == MapKind::lru_hash && field == MapField::Kind::timer;
}

class MapReader {
 public:
  MapReader(const BtfView& btf, std::string_view name) : btf_(btf) { def_.name = name; }

  Result<MapDef> read(const btf_type* structure) {
    const btf_member* members = btf_members(structure);
    for (unsigned i = 0; i < btf_vlen(structure); i++)
      if (auto done = read_member(members[i]); !done) return std::unexpected(done.error());
    if (def_.type == 0)
      return fail(Why::rejected, EINVAL, "map '{}' has no type: expected __uint(type, ...)",
                  def_.name);
    def_.kind = kind_of(def_.type);
    if (auto done = check_map_limits(def_); !done) return std::unexpected(done.error());
    if (auto done = read_fields(); !done) return std::unexpected(done.error());
    return std::move(def_);
  }

 private:
  Result<void> read_member(const btf_member& member) {
    const std::string_view attribute = btf_.name(member.name_off);
    if (attribute == "type") return set_u32(attribute, member.type, def_.type);
    if (attribute == "max_entries") return set_u32(attribute, member.type, def_.max_entries);
    if (attribute == "map_flags") return set_u32(attribute, member.type, def_.map_flags);
    if (attribute == "key_size") return set_size(attribute, number(member.type), def_.key_size);
    if (attribute == "value_size") return set_size(attribute, number(member.type), def_.value_size);
    if (attribute == "key")
      return set_size(attribute, pointee(member.type, def_.key_type), def_.key_size);
    if (attribute == "value")
      return set_size(attribute, pointee(member.type, def_.value_type), def_.value_size);
    if (attribute == "map_extra") {
      const auto value = number(member.type);
      if (!value) return malformed(attribute);
      def_.map_extra = *value;
      return {};
    }
    return fail(Why::rejected, EINVAL,
                "map '{}' has the attribute '{}': allowed are type, key_size, value_size, key, "
                "value, max_entries, map_flags and map_extra",
                def_.name, attribute);
  }

  // The value of __uint or __ulong.
  std::optional<uint64_t> number(uint32_t id) const {
    const btf_type* t = btf_.resolved(id);
    if (t == nullptr) return std::nullopt;
    if (btf_is_ptr(t)) {
      const btf_type* array = btf_.resolved(t->type);
      if (array == nullptr || !btf_is_array(array)) return std::nullopt;
      return btf_array(array)->nelems;
    }
    if (btf_vlen(t) != 1) return std::nullopt;
    if (btf_is_enum(t)) return static_cast<uint32_t>(btf_enum(t)->val);
    if (btf_is_enum64(t)) return btf_enum64_value(btf_enum64(t));
    return std::nullopt;
  }

  // sizeof what __type points to, and its id.
  std::optional<uint64_t> pointee(uint32_t id, uint32_t& target) const {
    const btf_type* t = btf_.resolved(id);
    if (t == nullptr || !btf_is_ptr(t)) return std::nullopt;
    const auto size = btf_.size_of(t->type);
    if (!size) return std::nullopt;
    target = t->type;
    return *size;
  }

  // Locks and timers; those of maps that nobody can use are never looked for.
  Result<void> read_fields() {
    if (def_.value_type == 0 || def_.kind == MapKind::other) return {};
    auto fields = fields_of_type(btf_, def_.value_type);
    if (!fields)
      return fail(Why::rejected, fields.error().code, "the value of map '{}' {}", def_.name,
                  fields.error().message);
    for (const MapField& field : *fields)
      if (!may_hold(def_.kind, field.kind))
        return fail(
            Why::rejected, EOPNOTSUPP,
            "the value of map '{}' has a {}, which only {} maps can have", def_.name,
            field.kind == MapField::Kind::timer ? "timer" : "lock",
            field.kind == MapField::Kind::timer ? "array and hash" : "array and plain hash");
    def_.fields = std::move(*fields);
    return {};
  }

  Result<void> set_u32(std::string_view attribute, uint32_t type, uint32_t& into) {
    const auto value = number(type);
    if (!value || *value > UINT32_MAX) return malformed(attribute);
    into = static_cast<uint32_t>(*value);
    return {};
  }

  // key and key_size may both be given, but must agree.
  Result<void> set_size(std::string_view attribute, std::optional<uint64_t> value, uint32_t& into) {
    if (!value || *value > UINT32_MAX) return malformed(attribute);
    if (into != 0 && into != *value)
      return fail(Why::rejected, EINVAL, "map '{}' says {} bytes by '{}' and {} elsewhere",
                  def_.name, *value, attribute, into);
    into = static_cast<uint32_t>(*value);
    return {};
  }

  Result<void> malformed(std::string_view attribute) const {
    return fail(Why::rejected, EINVAL,
                "map '{}' has a malformed '{}': expected __uint, __ulong or __type as in "
                "uarena_bpf.h",
                def_.name, attribute);
  }

  const BtfView& btf_;
  MapDef def_;
};

// Offsets of the variables in section `section`, by name.
std::map<std::string_view, uint64_t> variables_of(const ElfFile& elf, uint32_t section) {
  std::map<std::string_view, uint64_t> offsets;
  for (const ElfSymbol& symbol : elf.symbols)
    if (symbol.defined && symbol.section == section && symbol.kind == SymbolKind::data)
      offsets.emplace(symbol.name, symbol.value);
  return offsets;
}

Result<void> check_unique(const std::vector<DeclaredMap>& maps, const DeclaredMap& added) {
  for (const DeclaredMap& map : maps) {
    if (map.offset == added.offset || map.def.name == added.def.name)
      return fail(Why::rejected, EINVAL, "maps '{}' and '{}' are one variable", map.def.name,
                  added.def.name);
    if (map.def.kind == MapKind::arena && added.def.kind == MapKind::arena)
      return fail(Why::rejected, EINVAL,
                  "maps '{}' and '{}' are arenas: an object may have only one", map.def.name,
                  added.def.name);
  }
  return {};
}

}  // namespace

Result<std::vector<DeclaredMap>> read_map_defs(const ElfFile& elf, const BtfView& btf) {
  std::vector<DeclaredMap> maps;
  const ElfSection* section = elf.find(kMapsSection);
  if (elf.find("maps") != nullptr)
    return fail(Why::rejected, EINVAL,
                "section 'maps' holds maps of the old form: declare them in '.maps'");
  if (section == nullptr) return maps;
  const btf_type* variables = btf.datasec(kMapsSection);
  if (variables == nullptr)
    return fail(Why::rejected, EINVAL, "section '.maps' has no types: compile with -g");
  if (btf_vlen(variables) > kMaxMaps)
    return fail(Why::rejected, EINVAL, "section '.maps' has {} maps, allowed are at most {}",
                btf_vlen(variables), kMaxMaps);
  const auto offsets = variables_of(elf, elf.index_of(*section));
  for (unsigned i = 0; i < btf_vlen(variables); i++) {
    const btf_type* variable = btf.type(btf_var_secinfos(variables)[i].type);
    if (variable == nullptr || !btf_is_var(variable))
      return fail(Why::rejected, EINVAL, "entry {} of section '.maps' is not a variable", i);
    const std::string_view name = btf.name(variable->name_off);
    const btf_type* structure = btf.resolved(variable->type);
    if (structure == nullptr || !btf_is_struct(structure))
      return fail(Why::rejected, EINVAL, "map '{}' is not a structure", name);
    const auto offset = offsets.find(name);
    if (offset == offsets.end())
      return fail(Why::rejected, EINVAL, "map '{}' has no symbol in section '.maps'", name);
    auto def = MapReader(btf, name).read(structure);
    if (!def) return std::unexpected(def.error());
    DeclaredMap map{std::move(*def), offset->second};
    if (auto done = check_unique(maps, map); !done) return std::unexpected(done.error());
    maps.push_back(std::move(map));
  }
  return maps;
}

}  // namespace uarena::jit
