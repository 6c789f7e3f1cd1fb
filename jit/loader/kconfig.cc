// Each variable gets a place of its own, aligned to its size, and its value in the form that its
// type asks for: libbpf's rules for bool, tristate, char and numbers.
#include "jit/loader/kconfig.h"

#include <linux/bpf.h>

#include <bit>
#include <cstring>
#include <unordered_set>

#include "jit/kernel_config.h"

namespace uarena::jit {
namespace {

constexpr std::string_view kSection = ".kconfig";
// enum libbpf_tristate { TRI_NO, TRI_MODULE, TRI_YES }.
constexpr uint64_t kTristateYes = 2;

// How a value is written into a variable of a type.
enum class Form { number, boolean, tristate, character, unsupported };

Form form_of(const BtfView& btf, const btf_type* t) {
  if (t == nullptr || (!btf_is_int(t) && !btf_is_any_enum(t))) return Form::unsupported;
  if (!std::has_single_bit(t->size) || t->size > sizeof(uint64_t)) return Form::unsupported;
  if (btf_is_any_enum(t))
    return btf.string(t->name_off) == "libbpf_tristate" ? Form::tristate : Form::number;
  if ((btf_int_encoding(t) & BTF_INT_BOOL) != 0) return Form::boolean;
  return t->size == 1 ? Form::character : Form::number;
}

// The value's bits, or why the type can't hold it.
Result<uint64_t> written(const ConfigValue& value, Form form, uint32_t size) {
  if (value.is_yes && form == Form::boolean) return 1;
  if (value.is_yes && form == Form::tristate) return kTristateYes;
  if (value.is_yes && form == Form::character) return 'y';
  if (value.is_yes)
    return fail(Why::rejected, EINVAL, "is a yes or no: declare it bool, tristate or char");
  if (form != Form::number && form != Form::character)
    return fail(Why::rejected, EINVAL, "is a number ({}): declare it as one", value.number);
  if (size < sizeof(uint64_t) && value.number >> (8 * size) != 0)
    return fail(Why::rejected, EINVAL, "is {}, which does not fit into {} bytes", value.number,
                size);
  return value.number;
}

class KconfigReader {
 public:
  KconfigReader(const ElfFile& elf, const BtfView& btf) : btf_(btf) {
    for (const ElfSymbol& symbol : elf.symbols)
      if (!symbol.defined && symbol.weak) weak_.insert(symbol.name);
  }

  Result<void> add(const btf_var_secinfo& info) {
    const btf_type* variable = btf_.type(info.type);
    if (variable == nullptr || !btf_is_var(variable))
      return fail(Why::rejected, EINVAL, "an entry of section '{}' is not a variable", kSection);
    const std::string_view name = btf_.string(variable->name_off);
    if (values_.contains(name)) return {};
    Kconfig::Value& value = values_[name];
    const btf_type* t = btf_.resolved(variable->type);
    const Form form = form_of(btf_, t);
    if (form == Form::unsupported) {
      value.refused = fmt::format("has the type {}: expected a number, bool or tristate",
                                  btf_.text_of(variable->type));
      return {};
    }
    // The size is a power of two, at most eight.
    bytes_.resize((bytes_.size() + t->size - 1) / t->size * t->size + t->size);
    value.offset = static_cast<uint32_t>(bytes_.size() - t->size);
    fill(name, form, t->size, value);
    return {};
  }

  Kconfig finish(uint32_t type, std::vector<MapDef>& maps) {
    MapDef def;
    def.name = kSection;
    def.kind = MapKind::kconfig;
    def.type = BPF_MAP_TYPE_ARRAY;
    def.key_size = sizeof(uint32_t);
    // Where no value has a place, one byte that nobody refers to: no map is empty.
    bytes_.resize(std::max<size_t>(bytes_.size(), 1));
    def.value_size = static_cast<uint32_t>(bytes_.size());
    def.max_entries = 1;
    def.map_flags = BPF_F_MMAPABLE | BPF_F_RDONLY_PROG;
    def.initial = std::move(bytes_);
    def.value_type = type;
    maps.push_back(std::move(def));
    return {maps.size() - 1, std::move(values_)};
  }

 private:
  void fill(std::string_view name, Form form, uint32_t size, Kconfig::Value& value) {
    const auto known = kernel_config(name);
    if (!known && !weak_.contains(name))
      value.refused = "is not known here: declare it __weak to read 0";
    if (!known) return;
    const auto bits = written(*known, form, size);
    if (!bits) {
      value.refused = bits.error().message;
      return;
    }
    std::memcpy(bytes_.data() + value.offset, &*bits, size);
  }

  const BtfView& btf_;
  std::unordered_set<std::string_view> weak_;
  std::map<std::string_view, Kconfig::Value> values_;
  std::vector<std::byte> bytes_;
};

}  // namespace

Result<Kconfig> add_kconfig(const ElfFile& elf, const BtfView& btf, std::vector<MapDef>& maps) {
  const btf_type* declared = btf.datasec(kSection);
  if (declared == nullptr || btf_vlen(declared) == 0) return Kconfig{};
  KconfigReader reader(elf, btf);
  for (unsigned i = 0; i < btf_vlen(declared); i++)
    if (auto done = reader.add(btf_var_secinfos(declared)[i]); !done)
      return std::unexpected(done.error());
  return reader.finish(btf.datasec_id(kSection), maps);
}

}  // namespace uarena::jit
