// The check walks the type section once, record by record: each kind has a known number of trailing
// bytes, every referenced id and string must exist. What the types mean (sizes of structures, loops
// of typedefs) is checked where it is used.
#include "jit/loader/btf_view.h"

#include <bpf/libbpf.h>
#include <linux/btf.h>

#include <algorithm>
#include <tuple>

#include "jit/loader/elf_file.h"

namespace uarena::jit {
namespace {

// A chain of modifiers longer than this is a loop, not a program.
constexpr int kMaxChain = 32;

// Bytes of one trailing element and whether there are vlen of them or one.
struct Tail {
  size_t bytes = 0;
  bool per_element = false;
};

std::optional<Tail> tail_of(unsigned kind) {
  switch (kind) {
    case BTF_KIND_FWD:
    case BTF_KIND_CONST:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_PTR:
    case BTF_KIND_TYPEDEF:
    case BTF_KIND_FUNC:
    case BTF_KIND_FLOAT:
    case BTF_KIND_TYPE_TAG:
      return Tail{0, false};
    case BTF_KIND_INT:
      return Tail{sizeof(uint32_t), false};
    case BTF_KIND_ARRAY:
      return Tail{sizeof(struct btf_array), false};
    case BTF_KIND_VAR:
      return Tail{sizeof(struct btf_var), false};
    case BTF_KIND_DECL_TAG:
      return Tail{sizeof(struct btf_decl_tag), false};
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
      return Tail{sizeof(struct btf_member), true};
    case BTF_KIND_ENUM:
      return Tail{sizeof(struct btf_enum), true};
    case BTF_KIND_ENUM64:
      return Tail{sizeof(struct btf_enum64), true};
    case BTF_KIND_FUNC_PROTO:
      return Tail{sizeof(struct btf_param), true};
    case BTF_KIND_DATASEC:
      return Tail{sizeof(struct btf_var_secinfo), true};
    default:
      return std::nullopt;
  }
}

Result<void> check_types(std::span<const std::byte> types, size_t strings) {
  uint32_t id = 1;
  for (size_t at = 0; at < types.size(); id++) {
    btf_type type;
    if (types.size() - at < sizeof type)
      return fail(Why::rejected, EINVAL, ".BTF: type {} does not lie inside the section", id);
    std::memcpy(&type, types.data() + at, sizeof type);
    const auto tail = tail_of(BTF_INFO_KIND(type.info));
    if (!tail)
      return fail(Why::rejected, EINVAL, ".BTF: type {} is of the unknown kind {}", id,
                  BTF_INFO_KIND(type.info));
    const size_t size =
        sizeof type + tail->bytes * (tail->per_element ? BTF_INFO_VLEN(type.info) : 1);
    if (size > types.size() - at || type.name_off >= strings)
      return fail(Why::rejected, EINVAL, ".BTF: type {} does not lie inside the section", id);
    at += size;
  }
  return {};
}

Result<void> check(std::span<const std::byte> section) {
  btf_header header;
  if (section.size() < sizeof header)
    return fail(Why::rejected, EINVAL, ".BTF has {} bytes: expected at least {}", section.size(),
                sizeof header);
  std::memcpy(&header, section.data(), sizeof header);
  if (header.magic != BTF_MAGIC || header.version != BTF_VERSION || header.hdr_len != sizeof header)
    return fail(Why::rejected, EINVAL,
                ".BTF has magic {:#x}, version {}, header of {} bytes: expected {:#x}, {}, {}",
                header.magic, header.version, header.hdr_len, BTF_MAGIC, BTF_VERSION,
                sizeof header);
  const uint64_t body = section.size() - sizeof header;
  if (header.type_off % 4 != 0 || uint64_t{header.type_off} + header.type_len > header.str_off ||
      uint64_t{header.str_off} + header.str_len > body || header.str_len == 0)
    return fail(Why::rejected, EINVAL, ".BTF: its parts do not lie inside the section");
  const std::span<const std::byte> all = section.subspan(sizeof header);
  if (all[header.str_off] != std::byte{0} ||
      all[uint64_t{header.str_off} + header.str_len - 1] != std::byte{0})
    return fail(Why::rejected, EINVAL, ".BTF: the strings are not terminated");
  return check_types(all.subspan(header.type_off, header.type_len), header.str_len);
}

}  // namespace

Result<BtfView> BtfView::parse(std::span<const std::byte> section_untrusted) {
  // libbpf writes warnings about bad input to stderr; ours are in the Result.
  static const auto silent = ::libbpf_set_print(nullptr);
  (void)silent;
  if (auto done = check(section_untrusted); !done) return std::unexpected(done.error());
  BtfView view;
  view.btf_.reset(
      ::btf__new(section_untrusted.data(), static_cast<uint32_t>(section_untrusted.size())));
  if (view.btf_ == nullptr) return fail(Why::rejected, EINVAL, ".BTF: {}", errno_text(errno));
  // The size of pointers is otherwise guessed from a type named "long".
  ::btf__set_pointer_size(view.btf_.get(), 8);
  view.index();
  return view;
}

const btf_type* BtfView::resolved(uint32_t id) const {
  for (int i = 0; i < kMaxChain; i++) {
    const btf_type* t = type(id);
    if (t == nullptr || !(btf_is_mod(t) || btf_is_typedef(t))) return t;
    id = t->type;
  }
  return nullptr;
}

std::string_view BtfView::string(uint32_t offset) const {
  const char* text = ::btf__str_by_offset(btf_.get(), offset);
  if (text == nullptr) return {};
  return {text, ::strnlen(text, kMaxNameLength + 1)};
}

std::string_view BtfView::name(uint32_t offset) const {
  const std::string_view text = string(offset);
  return text.size() <= kMaxNameLength && is_printable(text) ? text : "(unreadable)";
}

Result<uint32_t> BtfView::size_of(uint32_t id) const {
  const int64_t size = ::btf__resolve_size(btf_.get(), id);
  if (size < 0 || size > INT32_MAX) return fail(Why::rejected, EINVAL, "type {} has no size", id);
  return static_cast<uint32_t>(size);
}

const btf_type* BtfView::datasec(std::string_view wanted) const {
  const uint32_t id = datasec_id(wanted);
  return id == 0 ? nullptr : type(id);
}

uint32_t BtfView::datasec_id(std::string_view wanted) const {
  const auto found = datasecs_.find(wanted);
  return found == datasecs_.end() ? 0 : found->second;
}

void BtfView::index() {
  for (uint32_t id = 1; id < count(); id++) {
    const btf_type* t = type(id);
    if (btf_is_func(t) && btf_vlen(t) != BTF_FUNC_EXTERN)
      functions_.emplace(string(t->name_off), id);
    if (btf_is_datasec(t)) datasecs_.emplace(string(t->name_off), id);
    if (btf_is_decl_tag(t)) tags_.push_back({t->type, btf_decl_tag(t)->component_idx, t->name_off});
  }
  // The text as well, so that their order does not depend on how one sorts.
  std::ranges::sort(
      tags_, {}, [](const DeclTag& tag) { return std::tuple(tag.type, tag.component, tag.text); });
  index_externs(".kconfig", false, Extern::kconfig);
  index_externs(".ksyms", false, Extern::kernel_symbol);
  index_externs(".ksyms", true, Extern::kernel_function);
}

void BtfView::index_externs(std::string_view section, bool functions, Extern as) {
  const btf_type* declared = datasec(section);
  if (declared == nullptr) return;
  for (unsigned i = 0; i < btf_vlen(declared); i++) {
    const btf_type* t = type(btf_var_secinfos(declared)[i].type);
    if (t != nullptr && (functions ? btf_is_func(t) : btf_is_var(t)))
      externs_.emplace(string(t->name_off), as);
  }
}

std::span<const BtfView::DeclTag> BtfView::tags(uint32_t type) const {
  return std::ranges::equal_range(tags_, type, {}, &DeclTag::type);
}

std::string BtfView::text_of(uint32_t id) const {
  size_t stars = 0;
  std::string text;
  for (int i = 0; i < kMaxChain; i++) {
    const btf_type* t = type(id);
    if (t == nullptr) break;
    if (btf_is_ptr(t)) {
      stars++;
    } else if (btf_is_const(t) || btf_is_volatile(t)) {
      text += btf_is_const(t) ? "const " : "volatile ";
    } else if (btf_is_typedef(t) || !btf_is_mod(t)) {
      if (btf_is_struct(t)) text += "struct ";
      if (btf_is_union(t)) text += "union ";
      if (btf_is_any_enum(t)) text += "enum ";
      text +=
          t->name_off == 0 ? std::string_view(id == 0 ? "void" : "(unnamed)") : name(t->name_off);
      break;
    }
    id = t->type;
  }
  if (stars > 0) text.append(" ").append(stars, '*');
  if (text.size() > kMaxTypeText) text.resize(kMaxTypeText);
  return text;
}

std::optional<uint32_t> BtfView::function(std::string_view wanted) const {
  const auto found = functions_.find(wanted);
  if (found == functions_.end()) return std::nullopt;
  return found->second;
}

BtfView::Extern BtfView::external(std::string_view name) const {
  const auto found = externs_.find(name);
  return found == externs_.end() ? Extern::none : found->second;
}

}  // namespace uarena::jit
