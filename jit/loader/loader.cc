// From the bytes of an object file to an Object. What each step refuses is said in its own unit;
// errors name the file's part and say what is expected.
#include <map>

#include "jit/loader/btf_view.h"
#include "jit/loader/data_sections.h"
#include "jit/loader/elf_file.h"
#include "jit/loader/functions.h"
#include "jit/loader/kconfig.h"
#include "jit/loader/line_info.h"
#include "jit/loader/link.h"
#include "jit/loader/map_defs.h"
#include "jit/loader/relocations.h"
#include "jit/object.h"

namespace uarena::jit {
namespace {

Result<std::span<const std::byte>> types_of(const ElfFile& elf) {
  const ElfSection* section = elf.find(".BTF");
  if (section == nullptr)
    return fail(Why::rejected, EINVAL, "the object has no types (section .BTF): compile with -g");
  return section->bytes;
}

// A string with its NUL. An object without one has no license, which matters only to who runs it:
// the kernel offers the arena functions to GPL-compatible programs only.
Result<std::string> license_of(const ElfFile& elf) {
  const ElfSection* section = elf.find("license");
  if (section == nullptr) return std::string();
  const std::string_view bytes(reinterpret_cast<const char*>(section->bytes.data()),
                               section->bytes.size());
  const std::string_view text = bytes.substr(0, bytes.find('\0'));
  if (text.size() == bytes.size() || text.size() > kMaxNameLength || !is_printable(text))
    return fail(Why::rejected, EINVAL,
                "section 'license' is not a text with a terminating 0 of at most {} characters",
                kMaxNameLength);
  return std::string(text);
}

// The declared maps, with where relocations find them.
std::map<uint64_t, size_t> add_declared(std::vector<DeclaredMap> declared, Object& object) {
  std::map<uint64_t, size_t> by_offset;
  for (DeclaredMap& map : declared) {
    by_offset[map.offset] = object.maps.size();
    if (map.def.kind == MapKind::arena) object.arena = object.maps.size();
    object.maps.push_back(std::move(map.def));
  }
  return by_offset;
}

}  // namespace

Result<Object> load_object(std::span<const std::byte> elf_untrusted) {
  Object object;
  auto elf = read_elf(elf_untrusted);
  if (!elf) return std::unexpected(elf.error());
  auto license = license_of(*elf);
  if (!license) return std::unexpected(license.error());
  auto types = types_of(*elf);
  if (!types) return std::unexpected(types.error());
  auto btf = BtfView::parse(*types);
  if (!btf) return std::unexpected(btf.error());

  auto declared = read_map_defs(*elf, *btf);
  if (!declared) return std::unexpected(declared.error());
  const auto maps = add_declared(std::move(*declared), object);
  auto data = add_data_sections(*elf, *btf, object.maps);
  if (!data) return std::unexpected(data.error());

  auto kconfig = add_kconfig(*elf, *btf, object.maps);
  if (!kconfig) return std::unexpected(kconfig.error());

  auto functions = FunctionTable::read(*elf);
  if (!functions) return std::unexpected(functions.error());
  auto info = ExtInfo::read(*elf, *btf);
  if (!info) return std::unexpected(info.error());
  auto linked = link_programs({*elf, *btf, *functions, object.maps, maps, *data, *kconfig}, *info);
  if (!linked) return std::unexpected(linked.error());

  object.license = std::move(*license);
  object.btf.assign(types->begin(), types->end());
  object.programs = std::move(linked->programs);
  object.kfuncs = std::move(linked->kfuncs);
  if (object.programs.empty())
    return fail(Why::rejected, EINVAL,
                "the object has no program: expected a global function in a section such as "
                "SEC(\"syscall\")");
  return object;
}

}  // namespace uarena::jit
