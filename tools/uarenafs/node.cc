#include "tools/uarenafs/node.h"

#include <charconv>

namespace uarena::inspectfs {

bool is_directory(Kind kind) {
  switch (kind) {
    case Kind::root:
    case Kind::arena:
    case Kind::clients:
    case Kind::programs:
    case Kind::program:
      return true;
    default:
      return false;
  }
}

Node parent_of(const Node& node) {
  const auto parent = [&](Kind kind, uint64_t object = 0) {
    return Node{kind, node.epoch, node.arena, object};
  };
  switch (node.kind) {
    case Kind::root:
    case Kind::arena:
      return Node{};
    case Kind::client:
      return parent(Kind::clients);
    case Kind::program:
      return parent(Kind::programs);
    case Kind::program_info:
      return parent(Kind::program, node.object);
    default:
      return parent(Kind::arena);
  }
}

// FNV-1a. The root is 1, as everywhere; 0 means "no file" to some programs.
uint64_t inode_number(const Node& node) {
  if (node.kind == Kind::root) return 1;
  uint64_t hash = 0xcbf29ce484222325;
  for (uint64_t field : {static_cast<uint64_t>(node.kind), node.epoch, node.arena, node.object})
    for (int byte = 0; byte < 8; ++byte, field >>= 8)
      hash = (hash ^ (field & 0xff)) * 0x100000001b3;
  return hash > 1 ? hash : hash + 2;
}

std::span<const FixedEntry> fixed_entries(Kind directory) {
  static constexpr FixedEntry kArena[] = {{"info", Kind::info},
                                          {"pages", Kind::pages},
                                          {"mem", Kind::memory},
                                          {"clients", Kind::clients},
                                          {"programs", Kind::programs}};
  static constexpr FixedEntry kProgram[] = {{"info", Kind::program_info}};
  if (directory == Kind::arena) return kArena;
  if (directory == Kind::program) return kProgram;
  return {};
}

std::optional<uint64_t> id_of_name(std::string_view name) {
  if (name.empty() || name.front() == '0') return std::nullopt;
  uint64_t id = 0;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data(), end, id);
  if (error != std::errc() || rest != end) return std::nullopt;
  return id;
}

}  // namespace uarena::inspectfs
