// One parameter at a time: first its tags, then its type. Combinations that the kernel refuses are
// unsupported here.
#include "jit/loader/signature.h"

#include <algorithm>
#include <string_view>

namespace uarena::jit {
namespace {

constexpr std::string_view kTagPrefix = "arg:";
// A prototype with more than this many parameters is not read to its end: only five are passed in
// registers, and the sixth is enough to say that there are too many.
constexpr unsigned kMostParams = 6;

struct Tags {
  bool ctx = false;
  bool arena = false;
  bool nonnull = false;
  bool nullable = false;
  bool unknown = false;  // "trusted" and whatever else is for pointers into the kernel
  bool any() const { return ctx || arena || nonnull || nullable || unknown; }
};

class Reader {
 public:
  Reader(const BtfView& btf, uint32_t function, std::optional<ProgramType> program)
      : btf_(btf), function_(function), program_(program) {}

  Param read(unsigned index, uint32_t type) const {
    Param param;
    param.type = btf_.text_of(type);
    const Tags tags = tags_of(static_cast<int32_t>(index));
    const btf_type* t = btf_.resolved(type);
    if (t == nullptr || tags.unknown) {
      param.kind = Param::Kind::unsupported;
    } else if (btf_is_ptr(t)) {
      read_pointer(t->type, tags, param);
    } else if ((!btf_is_int(t) && !btf_is_any_enum(t)) || tags.any() ||
               t->size > sizeof(uint64_t)) {
      param.kind = Param::Kind::unsupported;
    }
    return param;
  }

 private:
  Tags tags_of(int32_t index) const {
    Tags tags;
    for (const auto& tag : btf_.tags(function_)) {
      if (tag.component != index) continue;
      std::string_view text = btf_.string(tag.text);
      if (!text.starts_with(kTagPrefix)) continue;
      text.remove_prefix(kTagPrefix.size());
      bool* known = text == "ctx"        ? &tags.ctx
                    : text == "arena"    ? &tags.arena
                    : text == "nonnull"  ? &tags.nonnull
                    : text == "nullable" ? &tags.nullable
                                         : &tags.unknown;
      *known = true;
    }
    return tags;
  }

  void read_pointer(uint32_t target, const Tags& tags, Param& param) const {
    param.kind = Param::Kind::unsupported;
    if (tags.ctx || names_context(target)) {
      if (tags.arena || tags.nonnull || tags.nullable) return;
      if (!tags.ctx || may_be_context(target)) param.kind = Param::Kind::ctx;
    } else if (tags.arena || is_arena_type(target)) {
      if (!tags.nonnull && !tags.nullable) param.kind = Param::Kind::arena;
    } else if (!tags.nullable) {
      const auto size = btf_.size_of(target);
      if (!size) return;
      param.size = *size;
      param.kind = tags.nonnull ? Param::Kind::memory : Param::Kind::memory_or_null;
    }
  }

  // `struct x __attribute__((btf_type_tag("arena"))) *`: tags come first behind the pointer.
  bool is_arena_type(uint32_t target) const {
    for (int i = 0; i < kMaxTags; i++) {
      const btf_type* t = btf_.type(target);
      if (t == nullptr || !btf_is_type_tag(t)) return false;
      if (btf_.string(t->name_off) == "arena") return true;
      target = t->type;
    }
    return false;
  }

  std::string_view struct_name(uint32_t target) const {
    const btf_type* t = btf_.resolved(target);
    return t != nullptr && btf_is_struct(t) ? btf_.string(t->name_off) : std::string_view();
  }

  // The name alone is enough: types of the object and of the kernel are never compared.
  bool names_context(uint32_t target) const {
    if (!program_) return false;
    const std::string_view context = context_struct(*program_);
    return !context.empty() && struct_name(target) == context;
  }

  // With the tag, programs whose context is only bytes may say any type.
  bool may_be_context(uint32_t target) const {
    if (!program_) return false;
    if (*program_ == ProgramType::syscall || names_context(target)) return true;
    const btf_type* t = btf_.resolved(target);
    return *program_ == ProgramType::raw_tracepoint && t != nullptr && btf_is_int(t) &&
           t->size == sizeof(uint64_t);
  }

  // More tags than anybody writes; the end of a chain that is a loop.
  static constexpr int kMaxTags = 8;

  const BtfView& btf_;
  uint32_t function_;
  std::optional<ProgramType> program_;
};

bool is_number(const btf_type* t) { return t != nullptr && (btf_is_int(t) || btf_is_any_enum(t)); }

}  // namespace

Result<Signature> signature_of(const BtfView& btf, uint32_t function,
                               std::optional<ProgramType> program) {
  const btf_type* func = btf.type(function);
  const btf_type* proto = func != nullptr && btf_is_func(func) ? btf.type(func->type) : nullptr;
  if (proto == nullptr || !btf_is_func_proto(proto))
    return fail(Why::rejected, EINVAL, "type {} is not the type of a function", function);
  Signature signature;
  signature.returns_scalar = is_number(btf.resolved(proto->type));
  const Reader reader(btf, function, program);
  const btf_param* params = btf_params(proto);
  for (unsigned i = 0; i < std::min<unsigned>(btf_vlen(proto), kMostParams); i++)
    signature.params.push_back(reader.read(i, params[i].type));
  if (signature.params.size() == kMostParams)
    signature.params.back().kind = Param::Kind::unsupported;
  return signature;
}

}  // namespace uarena::jit
