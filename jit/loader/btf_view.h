// The types of the object file (section .BTF), read with libbpf's btf__* calls. libbpf trusts more
// of its input than we do, so the header and every type are checked before it sees them; after that
// a type id is either refused by name or leads to a type that lies inside the section.
#pragma once

#include <bpf/btf.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ipc/base/result.h"

namespace uarena::jit {

// Texts of types stand in messages and are kept for each parameter of each function.
inline constexpr size_t kMaxTypeText = 63;

class BtfView {
 public:
  // EINVAL: damaged.
  static Result<BtfView> parse(std::span<const std::byte> section_untrusted);

  // nullptr when there is no such type. Type 0 is void.
  const btf_type* type(uint32_t id) const { return ::btf__type_by_id(btf_.get(), id); }
  // The same behind const, volatile, typedef and type tags; nullptr when the chain never ends.
  const btf_type* resolved(uint32_t id) const;
  // A string of the section: empty when the offset is outside. May hold any character. Cut after
  // kMaxNameLength + 1 characters, so that a long one costs no more than that and equals no name.
  std::string_view string(uint32_t offset) const;
  // The string when it is a printable name of sensible length, otherwise "(unreadable)".
  std::string_view name(uint32_t offset) const;
  // sizeof the type in bytes.
  Result<uint32_t> size_of(uint32_t id) const;

  // The DATASEC type of that name, or nullptr; its id, or 0.
  const btf_type* datasec(std::string_view wanted) const;
  uint32_t datasec_id(std::string_view wanted) const;
  // The id of the function of that name that the object defines.
  std::optional<uint32_t> function(std::string_view wanted) const;
  // What the object expects from the kernel under that name.
  enum class Extern { none, kernel_function, kernel_symbol, kconfig };
  Extern external(std::string_view name) const;
  uint32_t count() const { return ::btf__type_cnt(btf_.get()); }

  // A btf_decl_tag of the source.
  struct DeclTag {
    uint32_t type = 0;      // what it is attached to
    int32_t component = 0;  // parameter or member; -1: the whole
    uint32_t text = 0;      // a string's offset
  };
  // The tags of one type, ascending component.
  std::span<const DeclTag> tags(uint32_t type) const;
  // The type in the words of C, cut at kMaxTypeText characters.
  std::string text_of(uint32_t type) const;

 private:
  void index();
  void index_externs(std::string_view section, bool functions, Extern as);

  struct Free {
    void operator()(btf* types) const { ::btf__free(types); }
  };
  std::unique_ptr<btf, Free> btf_;
  // Names are looked up once per reference; a linear search would let an object of 64 MiB keep us
  // busy for hours.
  std::unordered_map<std::string_view, uint32_t> functions_;
  std::unordered_map<std::string_view, uint32_t> datasecs_;
  std::unordered_map<std::string_view, Extern> externs_;
  std::vector<DeclTag> tags_;  // ascending type, component
};

}  // namespace uarena::jit
